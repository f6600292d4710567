/**
 * Texts that give themselves away: by a prefix that vendors chose for scanners, by the words around them, or because nobody writes such
 * a text by hand. For places of which nothing is known; where a name or a value is known, that counts.
 */

const SHAPES: readonly RegExp[] = [
  /\b(?:Bearer|Basic|Digest|Token)\s+[A-Za-z0-9+/._~=-]{4,}/gi,
  // GitHub, GitLab, npm, Slack, Google, AWS, OpenAI and kin, Stripe, Hugging Face, Tailscale, Telegram, SendGrid, ours.
  /\b(?:gh[pousr]|github_pat|glpat|npm|oc[a-z]|hf|tskey|shpat|dop_v1|pypi)[_-][A-Za-z0-9_-]{12,}/g,
  /\bxox[a-z]-[A-Za-z0-9-]{8,}/g,
  /\bxapp-[A-Za-z0-9-]{8,}/g,
  /\b(?:sk|pk|rk|xai|gsk|key|whsec)[-_][A-Za-z0-9*_-]{8,}/g,
  /\bAIza[A-Za-z0-9_-]{20,}/g,
  /\bya29\.[A-Za-z0-9_-]{12,}/g,
  /\b(?:AKIA|ASIA|AGPA|AROA)[A-Z0-9]{12,}/g,
  /\bSG\.[A-Za-z0-9_-]{16,}[A-Za-z0-9_.-]*/g,
  /\bAGE-SECRET-KEY-[A-Z0-9]{8,}/g,
  // JSON Web Tokens, whole or begun.
  /\beyJ[A-Za-z0-9_-]{8,}[A-Za-z0-9_.=-]*/g,
  /-----BEGIN [A-Z0-9 ]{0,40}-----[\s\S]*/g,
  /:AA[A-Za-z0-9_-]{30,}/g,
];

/** The text with everything of such a shape replaced. */
export function hideShapes(text: string, mark: string): string {
  if (text.length < 8) return text;
  let out = text;
  for (const shape of SHAPES) out = out.replace(shape, mark);
  return out;
}

/** How sure one has to be that a word was drawn at random: `long` where words of a person are to be expected, else `any`. */
export type Randomness = 'long' | 'any';

/** Whether a text without blanks looks drawn at random. Words, versions, dates, names with a number behind them, and paths do not. */
export function looksRandom(text: string, sure: Randomness = 'any'): boolean {
  if (text.length < 8 || text.length > 4096) return text.length > 4096;
  const isPath = /^(?:[~.]{0,2}[/\\]|[A-Za-z]:\\)/.test(text);
  const least = sure === 'long' ? 20 : isPath ? 16 : 8;
  for (const part of text.split(/[^A-Za-z0-9]+/)) if (part.length >= least && isRandomPart(part)) return true;
  if (isPath || text.length < 20 || text.includes('://') || sure === 'long') return false;
  return many(text, /[0-9]/g) && many(text, /[A-Z]/g) && many(text, /[a-z]/g);
}

const many = (text: string, kind: RegExp): boolean => (text.match(kind)?.length ?? 0) >= 3;

function isRandomPart(part: string): boolean {
  const hasDigit = /[0-9]/.test(part);
  const hasLetter = /[A-Za-z]/.test(part);
  if (hasDigit && hasLetter) return !/^[A-Za-z]+[0-9]{1,4}$/.test(part) && !/^[a-z]?[0-9]+[a-z]{0,2}$/i.test(part);
  if (hasDigit) return part.length >= 20;
  // `aVeryLongNameOfAnOption` is one; neither is a word of one case.
  return part.length >= 20 && !/^[A-Za-z]?[a-z]+(?:[A-Z][a-z]+)*$/.test(part) && !/^[A-Z]+$/.test(part);
}
