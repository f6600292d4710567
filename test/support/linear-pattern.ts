/**
 * Whether a regular expression can take longer than in proportion to its input on a backtracking engine (V8's).
 *
 * It is read into an automaton of its characters' places (Glushkov), with a loop over any character before it, as a search
 * tries every start. Time grows faster than the input when one text can be read round two different loops, and over from the first to the
 * second (`/[.!]+$/`: the search's own loop, and `[.!]+`), or round one loop in two ways (`/(a*)*$/`), unless the match is
 * certain once the second loop is entered (`/[.!]+/`). Stricter than the truth: assertions (`\b`, lookarounds, `$`) hold or
 * fail as they like, and a repetition of more than eight counts as endless.
 */

type Node =
  | { readonly kind: 'char'; readonly source: string }
  | { readonly kind: 'start' | 'assert' }
  | { readonly kind: 'look'; readonly body: Node; readonly behind: boolean }
  | { readonly kind: 'seq' | 'alt'; readonly parts: readonly Node[] }
  | { readonly kind: 'repeat'; readonly body: Node; readonly min: number; readonly max: number };

/** What is wrong with it; undefined when its time is linear. */
export function superLinear(source: string, flags: string): string | undefined {
  let root: Node;
  try {
    root = new Reader(source, flags.includes('m')).read();
  } catch (thrown) {
    return (thrown as Error).message;
  }
  const sample = representatives(source);
  const judge = (node: Node, searched: boolean): string | undefined => {
    const own = judgeOne(node, searched, sample, flags);
    if (own !== undefined) return own;
    for (const { look, once } of lookarounds(node, !searched || startsOnce(node))) {
      const found = judge(look.body, !once);
      if (found !== undefined) return `${found}, in a lookaround`;
    }
    return undefined;
  };
  return judge(root, true);
}

class Reader {
  private at = 0;
  private readonly source: string;
  private readonly multiline: boolean;
  constructor(source: string, multiline: boolean) {
    this.source = source;
    this.multiline = multiline;
  }

  read(): Node {
    const parts: Node[] = [];
    let seq: Node[] = [];
    while (this.at < this.source.length && this.source[this.at] !== ')') {
      if (this.take('|')) {
        parts.push({ kind: 'seq', parts: seq });
        seq = [];
      } else seq.push(this.repeated(this.one()));
    }
    parts.push({ kind: 'seq', parts: seq });
    return { kind: 'alt', parts };
  }

  private take(text: string): boolean {
    if (!this.source.startsWith(text, this.at)) return false;
    this.at += text.length;
    return true;
  }

  private match(pattern: RegExp): string | undefined {
    const found = new RegExp(pattern.source, `${pattern.flags}y`);
    found.lastIndex = this.at;
    const text = found.exec(this.source)?.[0];
    if (text !== undefined) this.at += text.length;
    return text;
  }

  private one(): Node {
    const look = this.match(/\(\?<?[=!]/);
    if (look !== undefined || this.match(/\((?:\?:|\?<\w+>)?(?!\?)/) !== undefined) {
      const body = this.read();
      if (!this.take(')')) throw new Error('a group that this check cannot read');
      return look === undefined ? body : { kind: 'look', body, behind: look.includes('<') };
    }
    if (this.take('^')) return { kind: this.multiline ? 'assert' : 'start' };
    if (this.match(/\$|\\[bB]/) !== undefined) return { kind: 'assert' };
    if (this.match(/\\(?:[1-9]|k<)/) !== undefined) throw new Error('a backreference, which this check cannot judge');
    const char = this.match(
      /\[(?:[^\]\\]|\\.)*\]|\\(?:u\{[^}]*\}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|[pP]\{[^}]*\}|c[A-Za-z]|.)|[\ud800-\udbff][\udc00-\udfff]|[\s\S]/,
    );
    if (char === undefined || char === '(') throw new Error('syntax that this check cannot read');
    return { kind: 'char', source: char };
  }

  private repeated(body: Node): Node {
    const mark = this.match(/[*+?]|\{\d+(?:,\d*)?\}/);
    if (mark === undefined) return body;
    this.take('?');
    const counts = /\{(\d+)(,?)(\d*)\}/.exec(mark);
    const min = counts === null ? (mark === '+' ? 1 : 0) : Number(counts[1]);
    const max = counts === null ? (mark === '?' ? 1 : Infinity) : counts[2] === '' ? min : counts[3] === '' ? Infinity : Number(counts[3]);
    return { kind: 'repeat', body, min, max: max > 8 ? Infinity : max };
  }
}

/** Ends of every range that is named, ASCII, and a few of each kind beyond it. */
function representatives(source: string): readonly string[] {
  const points = new Set<number>();
  for (let code = 0; code < 0x80; code++) points.add(code);
  for (const code of [
    0x85, 0xa0, 0xad, 0xe9, 0x131, 0x17f, 0x300, 0x5d0, 0x1680, 0x200b, 0x2028, 0x202e, 0x212a, 0x3000, 0x4e2d, 0xd800, 0xdc00, 0xe000,
    0xfeff, 0xff10, 0xffff, 0x1f600, 0x10ffff,
  ])
    points.add(code);
  const named = [...source].map((char) => char.codePointAt(0) ?? 0);
  for (const [, hex] of source.matchAll(/\\[ux]\{?([0-9a-fA-F]+)/g)) named.push(Number.parseInt((hex ?? '').slice(0, 6), 16));
  for (const code of named) for (const near of [code - 1, code, code + 1]) if (near >= 0 && near <= 0x10ffff) points.add(near);
  return [...points].map((code) => String.fromCodePoint(code));
}

interface Shape {
  readonly nullable: boolean;
  readonly first: readonly number[];
  readonly last: readonly number[];
  /** Of `last`, those behind which nothing in it can say no any more. */
  readonly sure: readonly number[];
  /** Passed without a character, it can still say no. */
  readonly asserts: boolean;
}
const EMPTY: Shape = { nullable: true, first: [], last: [], sure: [], asserts: false };

function judgeOne(root: Node, searched: boolean, sample: readonly string[], flags: string): string | undefined {
  // Per place: which of the sample it takes. Place 0 is the search itself; the beginning of the text counts as one more character.
  const begin = sample.length;
  const takes: ReadonlySet<number>[] = [new Set([...sample.keys(), begin])];
  const names: string[] = ['the search for a start'];
  const edges: number[][] = [[0]];
  const link = (from: readonly number[], to: readonly number[]): void => {
    for (const a of from) edges[a]?.push(...to);
  };
  const place = (set: ReadonlySet<number>, name: string): Shape => {
    takes.push(set);
    names.push(name);
    edges.push([]);
    return { nullable: false, first: [takes.length - 1], last: [takes.length - 1], sure: [takes.length - 1], asserts: false };
  };
  const sets = new Map<string, ReadonlySet<number>>();
  const setOf = (source: string): ReadonlySet<number> => {
    let set = sets.get(source);
    if (set === undefined) {
      const one = new RegExp(`^(?:${source})$`, flags.replace(/[gmyd]/g, ''));
      set = new Set(sample.flatMap((char, i) => (one.test(char) ? [i] : [])));
      sets.set(source, set);
    }
    return set;
  };
  const build = (node: Node): Shape => {
    switch (node.kind) {
      case 'char':
        return place(setOf(node.source), node.source);
      case 'start':
        return place(new Set([begin]), '^');
      case 'assert':
      case 'look':
        return { ...EMPTY, asserts: true };
      case 'alt': {
        const shapes = node.parts.map(build);
        return {
          nullable: shapes.some((shape) => shape.nullable),
          first: shapes.flatMap((shape) => shape.first),
          last: shapes.flatMap((shape) => shape.last),
          sure: shapes.flatMap((shape) => shape.sure),
          // One way past it that asks nothing is enough.
          asserts: !shapes.some((shape) => shape.nullable && !shape.asserts),
        };
      }
      case 'seq':
        return node.parts.map(build).reduce(joined, EMPTY);
      case 'repeat': {
        if (node.max !== Infinity) {
          let shape = EMPTY;
          for (let i = 0; i < node.max; i++) {
            const next = build(node.body);
            shape = joined(shape, i < node.min ? next : { ...next, nullable: true, asserts: false });
          }
          return shape;
        }
        const shape = build(node.body);
        link(shape.last, shape.first);
        return { ...shape, nullable: shape.nullable || node.min === 0, asserts: node.min > 0 && shape.asserts };
      }
    }
  };
  const joined = (a: Shape, b: Shape): Shape => {
    link(a.last, b.first);
    return {
      nullable: a.nullable && b.nullable,
      first: a.nullable ? [...a.first, ...b.first] : a.first,
      last: b.nullable ? [...a.last, ...b.last] : b.last,
      sure: b.nullable && !b.asserts ? [...a.sure, ...b.sure] : b.sure,
      asserts: a.asserts || b.asserts,
    };
  };

  const whole = build(root);
  if (searched) link([0], whole.first);
  else edges[0] = [...whole.first];
  return ambiguity(takes, edges, new Set(whole.sure), names, begin);
}

function ambiguity(
  takes: readonly ReadonlySet<number>[],
  edges: readonly (readonly number[])[],
  sure: ReadonlySet<number>,
  names: readonly string[],
  begin: number,
): string | undefined {
  const reach = edges.map((_, from) => {
    const seen = new Set<number>();
    const stack = [...(edges[from] ?? [])];
    for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
      if (seen.has(at)) continue;
      seen.add(at);
      stack.push(...(edges[at] ?? []));
    }
    return seen;
  });
  const inLoop = (at: number): boolean => reach[at]?.has(at) === true;
  const together = (a: number, b: number): boolean => reach[a]?.has(b) === true && reach[b]?.has(a) === true;
  for (const [from, to] of edges.entries())
    for (const [i, at] of to.entries())
      if (to.indexOf(at) !== i && together(from, at) && from !== 0 && !sure.has(at)) return `reads ${names[at]} round one loop in two ways`;

  const common = (a: number, b: number, c: number): boolean => {
    for (const char of takes[a] ?? []) if (char !== begin && takes[b]?.has(char) && takes[c]?.has(char)) return true;
    return false;
  };
  for (const p of edges.keys()) {
    if (!inLoop(p) || sure.has(p)) continue;
    for (const q of reach[p] ?? []) {
      if (q === p || !inLoop(q) || sure.has(q)) continue;
      // Three readers of one text: round p, from p to q, round q.
      const seen = new Set<string>();
      const stack: (readonly [number, number, number])[] = [[p, p, q]];
      for (let item = stack.pop(); item !== undefined; item = stack.pop()) {
        for (const a of edges[item[0]] ?? []) {
          // Whoever comes to a place that is sure has succeeded, and tries nothing else.
          if (!together(a, p) || sure.has(a)) continue;
          for (const b of edges[item[1]] ?? []) {
            if (sure.has(b) || (b !== q && reach[b]?.has(q) !== true)) continue;
            for (const c of edges[item[2]] ?? []) {
              if (sure.has(c) || !together(c, q) || !common(a, b, c)) continue;
              if (a === p && b === q && c === q) return `grows with the square or more: ${names[p]}, then round ${names[q]}`;
              const key = `${a} ${b} ${c}`;
              if (seen.has(key)) continue;
              seen.add(key);
              stack.push([a, b, c]);
            }
          }
        }
      }
    }
  }
  return undefined;
}

/** The lookarounds of a pattern, and whether one is tried only once per search: right behind the `^`. */
function* lookarounds(node: Node, once: boolean): Generator<{ readonly look: Extract<Node, { kind: 'look' }>; readonly once: boolean }> {
  switch (node.kind) {
    case 'look':
      yield { look: node, once };
      return;
    case 'alt':
      for (const part of node.parts) yield* lookarounds(part, once);
      return;
    case 'seq': {
      let still = once;
      for (const part of node.parts) {
        yield* lookarounds(part, still);
        still &&= part.kind === 'start' || part.kind === 'assert' || part.kind === 'look' || (part.kind === 'char' && once);
      }
      return;
    }
    case 'repeat':
      yield* lookarounds(node.body, false);
      return;
    default:
  }
}

const startsOnce = (node: Node): boolean =>
  node.kind === 'start' ||
  (node.kind === 'alt' && node.parts.every(startsOnce)) ||
  (node.kind === 'seq' && node.parts[0] !== undefined && startsOnce(node.parts[0]));
