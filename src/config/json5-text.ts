import { err, ok, type Result } from '../lib/result.ts';

/** Where and why a text is not JSON5. 1-based. */
export interface SyntaxFlaw {
  readonly message: string;
  readonly line: number;
  readonly column: number;
}

/** Without the byte order mark that some editors write. */
export const stripBom = (text: string): string => (text.charCodeAt(0) === 0xfeff ? text.slice(1) : text);

/** Parses JSON5. Never throws, whatever the text. Nesting is not judged here (`treeFlaw`). */
export async function parseJson5(text: string): Promise<Result<unknown, SyntaxFlaw>> {
  const body = stripBom(text);
  // Files that tools wrote are plain JSON, and there the two agree: no need to load a parser.
  try {
    return ok(JSON.parse(body));
  } catch {
    // Comments, bare keys, trailing commas, or a mistake; JSON5 knows which, and where.
  }
  const nul = body.indexOf('\0');
  if (nul !== -1) {
    return err({
      message: 'has NUL bytes: it was cut short by a crash or a full disk, restore it from a backup',
      ...positionOf(body, nul),
    });
  }
  const { default: json5 } = await import('json5');
  try {
    return ok(json5.parse(body));
  } catch (thrown) {
    const flaw = thrown as { message?: unknown; lineNumber?: unknown; columnNumber?: unknown };
    const message = String(flaw.message ?? 'is not JSON5')
      .replace(/^JSON5: /, '')
      .replace(/ at \d+:\d+$/, '')
      .replace('invalid end of input', 'the file ends too early: a bracket, brace or quote is not closed');
    return err({ message, line: Number(flaw.lineNumber) || 1, column: Number(flaw.columnNumber) || 1 });
  }
}

function positionOf(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset).split('\n');
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
}
