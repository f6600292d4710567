/** The name nearest to a mistyped one, or undefined where none is near enough to be meant. */
export function nearestName(text: string, names: readonly string[]): string | undefined {
  if (text.length > 64) return undefined;
  const allowed = text.length <= 3 ? 1 : text.length <= 7 ? 2 : 3;
  let best: string | undefined;
  let distance = allowed + 1;
  for (const name of names) {
    // Case apart counts as nothing: `allowtailscale` is the likeliest mistake of all.
    const d = name.toLowerCase() === text.toLowerCase() ? 0 : editDistance(text.toLowerCase(), name.toLowerCase());
    if (d < distance) [best, distance] = [name, d];
  }
  return best;
}

// Levenshtein, two rows; a swap of neighbours counts as two.
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row[j] = Math.min(change, (previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1);
    }
    previous = row;
  }
  return previous[b.length] ?? 0;
}
