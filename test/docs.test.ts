import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';

const ROOT = path.join(import.meta.dirname, '..');
const read = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8');
const SKIPPED = new Set(['node_modules', 'dist', '.git', '.venv', 'captures', 'transcripts']);

function filesUnder(dir: string, wanted: RegExp): string[] {
  return readdirSync(path.join(ROOT, dir), { withFileTypes: true }).flatMap((entry) => {
    const file = path.posix.join(dir, entry.name);
    if (entry.isDirectory()) return SKIPPED.has(entry.name) ? [] : filesUnder(file, wanted);
    return wanted.test(entry.name) ? [file] : [];
  });
}
const PAGES = filesUnder('.', /\.md$/);

/** Text without fenced code. */
const prose = (markdown: string): string => markdown.replaceAll(/^(```|~~~).*?^\1/gms, '');
const headings = (markdown: string): { level: number; anchor: string }[] =>
  [...prose(markdown).matchAll(/^(#{1,6}) +(.+)$/gm)].map(([, marks = '', title = '']) => ({
    level: marks.length,
    // As GitHub makes them: lower case, punctuation dropped, spaces to dashes.
    anchor: title
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  }));

describe('links', () => {
  test.each(PAGES)('%s: every link leads somewhere', (page) => {
    const dead = [...prose(read(page)).matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, link = '']) => {
      if (/^[a-z]+:/.test(link)) return [];
      const [target = '', anchor] = link.split('#');
      const file = target === '' ? page : path.posix.join(path.posix.dirname(page), target);
      if (!existsSync(path.join(ROOT, file))) return [link];
      if (anchor === undefined || statSync(path.join(ROOT, file)).isDirectory()) return [];
      return headings(read(file)).some((heading) => heading.anchor === anchor) ? [] : [link];
    });
    expect(dead).toEqual([]);
  });
});

describe('README.md and README.zh-CN.md', () => {
  const [english, chinese] = [read('README.md'), read('README.zh-CN.md')];
  // Comments in commands are translated, commands are not.
  const code = (markdown: string): string[] =>
    [...markdown.matchAll(/^```(.*?)^```/gms)].map(([, block = '']) => block.replaceAll(/ *(#|\/\/) .*$/gm, '').trim());

  test('have the same sections', () => {
    expect(headings(chinese).map(({ level }) => level)).toEqual(headings(english).map(({ level }) => level));
  });
  test('show the same commands', () => {
    expect(code(chinese)).toEqual(code(english));
  });
});

describe('rules of SPEC.md', () => {
  const RULE = /\b(?:WS|AU|CR|PA|NET|EX|EV|HT|CF|AG|ST|CL)-\d+\b/g;
  const rules = [...read('SPEC.md').matchAll(/^- \*\*([A-Z]+-\d+)\*\*/gm)].map(([, id = '']) => id);
  const cited = new Set(
    filesUnder('src', /\.test\.ts$/)
      .concat(filesUnder('test', /\.test\.ts$/))
      .flatMap((file) => read(file).match(RULE) ?? []),
  );

  test('each has a number of its own', () => {
    expect(rules.filter((id, at) => rules.indexOf(id) !== at)).toEqual([]);
  });
  test('each is cited by a test', () => {
    expect(rules.filter((id) => !cited.has(id))).toEqual([]);
  });
  test('tests cite only rules that exist', () => {
    expect([...cited].filter((id) => !rules.includes(id)).sort()).toEqual([]);
  });
});
