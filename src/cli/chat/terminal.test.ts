import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { oneLine, printable, width } from '../format/text.ts';
import { wrap } from '../format/wrap.ts';
import { LineEditor } from './line-editor.ts';
import { Screen } from './screen.ts';

const feed = (...keys: string[]) => {
  const editor = new LineEditor();
  const actions = keys.flatMap((key) => editor.feed(key)).filter(({ kind }) => kind !== 'redraw');
  return { editor, actions };
};

describe('CL-31 the line that is typed', () => {
  test.each([
    [['abc', '\u007f'], 'ab'],
    [['abc', '\u001b[D', '\u001b[D', 'X'], 'aXbc'],
    [['abc', '\u0001', 'X'], 'Xabc'],
    [['abc', '\u001b[H', '\u001b[3~'], 'bc'],
    [['one two', '\u0017'], 'one '],
    [['abc', '\u0015', 'x'], 'x'],
    [['abc', '\u0001', '\u000b'], ''],
    [['你好', '\u001b[D', '们'], '你们好'],
    [['🦞🦞', '\u007f'], '🦞'],
    [['\u001b[200~two\nlines\u001b[201~'], 'two\nlines'],
    [['\u001b[200~a\r\n\tb\u001b[201~'], 'a\n\tb'],
    [['one', '\u001b\r', 'two'], 'one\ntwo'],
    [['\u001b[200~cut ', 'paste\u001b[201~!'], 'cut paste!'],
    [['a', '\u001b[', 'D', 'b'], 'ba'],
    [['\u001b[1;5C\u001b[24~ok'], 'ok'],
  ])('CL-31 %j gives %j', (keys, text) => {
    const { editor, actions } = feed(...keys);
    expect(editor.text).toBe(text);
    expect(actions).toEqual([]);
  });

  test('CL-31 Enter submits once, a paste with line ends does not; Esc, Ctrl-C, Ctrl-D ask', () => {
    expect(feed('hi\r').actions).toEqual([{ kind: 'submit', text: 'hi' }]);
    expect(feed('\u001b[200~a\rb\u001b[201~').actions).toEqual([]);
    expect(feed('\u001b').actions).toEqual([{ kind: 'escape' }]);
    expect(feed('\u0003').actions).toEqual([{ kind: 'interrupt' }]);
    expect(feed('\u0004').actions).toEqual([{ kind: 'end' }]);
    expect(feed('a', '\u0004').actions).toEqual([]);
  });

  test('CL-31 history: up goes back, down returns to what was being typed', () => {
    const { editor } = feed('one\r', 'two\r', 'dra', '\u001b[A', '\u001b[A');
    expect(editor.text).toBe('one');
    editor.feed('\u001b[A');
    expect(editor.text).toBe('one');
    editor.feed('\u001b[B\u001b[B');
    expect(editor.text).toBe('dra');
  });

  test('CL-31 any keys leave a sound line', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(fc.string(), fc.constantFrom('\u001b', '\u001b[D', '\u007f', '\u001b[200~', '\u001b[201~', '\u0017', '\u001b[A')),
        ),
        (keys) => {
          const { editor } = feed(...keys);
          return !/[\u0000-\u0008\u000b-\u001f]/.test(editor.text) && editor.cursorColumn <= width(editor.text);
        },
      ),
    );
  });
});

describe('CL-32 what is printed', () => {
  test('CL-32 wrapped rows fit, and joined again they hold every character but spaces at the breaks', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('a', 'bc', ' ', '你', '🦞', '\n', 'longwordlongword') }),
        fc.integer({ min: 10, max: 40 }),
        (text, columns) => {
          const rows = wrap(text, columns);
          expect(rows.join('').replace(/\s/g, '')).toBe(text.replace(/\s/g, ''));
          for (const row of rows) expect(width(row.trimEnd())).toBeLessThanOrEqual(columns);
        },
      ),
    );
  });

  test('CL-32 a stream in any pieces prints the same rows as at once', () => {
    const rowsOf = (pieces: readonly string[]): string[] => {
      let written = '';
      const screen = new Screen({ write: (text) => (written += text), isTTY: true, columns: 20 }, (text) => text);
      for (const piece of pieces) screen.stream(piece);
      screen.leave();
      return terminal(written);
    };
    const text = 'The quick brown fox\njumps over the lazy dog, and 你好世界你好世界你好世界 goes on.';
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 60, maxLength: 60 }), (sizes) => {
        const pieces: string[] = [];
        const chars = [...text];
        for (let at = 0, i = 0; at < chars.length; at += sizes[i++] ?? 9) pieces.push(chars.slice(at, at + (sizes[i] ?? 9)).join(''));
        expect(rowsOf(pieces)).toEqual(rowsOf([text]));
      }),
      { numRuns: 30 },
    );
    expect(rowsOf([text])[0]).toBe('The quick brown fox');
  });

  test('CL-32 a line printed during an answer leaves no remnant of the prompt', () => {
    let written = '';
    const screen = new Screen({ write: (text) => (written += text), isTTY: true, columns: 40 }, (text) => text);
    screen.input('typing', 6);
    screen.stream('half an ans');
    screen.print('· tool');
    screen.stream('wer');
    screen.input('', 0);
    screen.leave();
    expect(terminal(written)).toEqual(['half an ans', '· tool', 'wer']);
  });

  test('CL-32 printed text is broken between words, and painted row by row', () => {
    let written = '';
    const screen = new Screen({ write: (text) => (written += text), isTTY: true, columns: 20 }, (text) => text);
    screen.print('one two three four five six', (row, n) => `<${n}:${row}>`);
    expect(written).toContain('<0:one two three four>\n<1:five six>\n');
  });

  test('CL-32 what is under way has a row of its own, which goes when something comes; line ends of a paste show as one sign', () => {
    let written = '';
    const screen = new Screen({ write: (text) => (written += text), isTTY: true, columns: 20 }, (text) => text);
    screen.busy('…');
    expect(written.endsWith('…\n› \r\u001b[2C')).toBe(true);
    written = '';
    screen.busy('');
    screen.input('a\nb', 3);
    expect(written).not.toContain('…');
    expect(written).toContain('› a⏎b');
  });

  test('CL-32 foreign text loses its controls', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary' }),
        (text) => !/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u202a-\u202e\u2066-\u2069]/.test(printable(text)),
      ),
    );
    expect(oneLine('a\u001b[31m\nb', 20)).toBe('a[31m b');
    expect(width(oneLine('你'.repeat(40), 11))).toBeLessThanOrEqual(11);
  });
});

/** Just enough of a terminal: what stands on it after these writes. */
function terminal(written: string): string[] {
  const rows: string[] = [''];
  let row = 0;
  let column = 0;
  for (const [token] of written.matchAll(/\u001b\[(\d*)([A-Z])|[\s\S]/gu)) {
    const move = /^\u001b\[(\d*)([A-Z])$/.exec(token);
    if (move) {
      const n = Number(move[1] || 1);
      if (move[2] === 'A') row = Math.max(0, row - n);
      else if (move[2] === 'C') column += n;
      else if (move[2] === 'J') {
        rows.length = row + 1;
        rows[row] = [...(rows[row] ?? '')].slice(0, column).join('');
      }
    } else if (token === '\r') column = 0;
    else if (token === '\n') {
      row++;
      column = 0;
      rows[row] ??= '';
    } else {
      const cells = [...(rows[row] ?? '')];
      cells[column++] = token;
      rows[row] = cells.join('');
    }
  }
  while (rows.at(-1) === '') rows.pop();
  return rows;
}
