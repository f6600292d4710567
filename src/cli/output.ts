import { UserError } from '../lib/errors.ts';
import type { CliEnv } from './env.ts';
import { forProfile, splitFix } from './format/fix.ts';
import { type Paint, paintFor } from './format/paint.ts';
import { printable, safeJson, width } from './format/text.ts';
import type { Messages } from './i18n.ts';

/**
 * What a command says. With `--json` stdout holds exactly one JSON value (or one a line where a command streams), `{ok:true,…}` or
 * `{ok:false,error:{code,message,fix}}`; everything for people goes to stderr or nowhere.
 */
export class Output {
  readonly json: boolean;
  readonly paint: Paint;
  readonly text: Messages;
  /** `--profile x` or `--dev` as they were typed: commands that are printed to be pasted need them too. */
  profileFlag = '';
  readonly #env: CliEnv;

  constructor(env: CliEnv, options: { readonly json: boolean; readonly colour: boolean; readonly text: Messages }) {
    this.#env = env;
    this.json = options.json;
    this.text = options.text;
    this.paint = paintFor(options.colour && !options.json);
  }

  /** Columns that a line may have: those of the terminal. In a pipe nothing is cut. */
  get room(): number {
    return this.#env.stdout.isTTY ? this.#env.stdout.columns : Number.POSITIVE_INFINITY;
  }

  /** A line for people on stdout. Nothing with `--json`. */
  line(text = ''): void {
    if (!this.json) this.#env.stdout.write(`${text}\n`);
  }

  /** Text for people as it comes, without a line end. */
  raw(text: string): void {
    if (!this.json) this.#env.stdout.write(text);
  }

  /** Something beside the result: progress, a warning, a hint. On stderr, so that a pipe gets the result alone. */
  note(text: string): void {
    const { stderr } = this.#env;
    // Colours were chosen for stdout; stderr may go into a file.
    stderr.write(`${stderr.isTTY ? text : text.replace(/\u001b\[\d+m/g, '')}\n`);
  }

  /** A question, answered on the same line. */
  prompt(text: string): void {
    this.#env.stderr.write(text);
  }

  warn(text: string): void {
    this.note(`${lead(this.paint.yellow(this.text.warning), this.text.warning)}${text}`);
  }

  /** The result with `--json`; nothing without. */
  result(value: Readonly<Record<string, unknown>>): void {
    if (this.json) this.#env.stdout.write(`${safeJson(Object.assign({ ok: true }, value, { ok: true }))}\n`);
  }

  /** A result that is itself bad news (a status that found a broken hop): printed as `{ok:false,…}`. */
  badResult(value: Readonly<Record<string, unknown>>): void {
    if (this.json) this.#env.stdout.write(`${safeJson(Object.assign({ ok: false }, value, { ok: false }))}\n`);
  }

  /** Exactly this text on stdout, `--json` or not: for values that are their own format. */
  verbatim(text: string): void {
    this.#env.stdout.write(text);
  }

  /** The end of a command that failed: what, why, and one fix. */
  failure(error: UserError): void {
    const { code, path } = error;
    // The last door before the terminal: parts of both may have come from a gateway, a file or a name.
    const message = printable(error.message);
    const fix = error.fix === undefined ? undefined : this.fix(printable(error.fix));
    const details = error instanceof GatewayError ? error.details : undefined;
    if (this.json) {
      const body = {
        code,
        message,
        ...(fix === undefined ? {} : { fix }),
        ...(path === undefined ? {} : { path }),
        ...(details === undefined ? {} : { details }),
      };
      this.#env.stdout.write(`${safeJson({ ok: false, error: body })}\n`);
      return;
    }
    const codeText = details === undefined || code.startsWith('GATEWAY_') ? '' : ` ${this.paint.dim(`(${code})`)}`;
    this.note(`${lead(this.paint.red(this.text.error), this.text.error)}${message}${codeText}`);
    for (const [name, value] of Object.entries(details ?? {}))
      this.note(`  ${this.paint.dim(`${this.text.details[name] ?? name}:`)} ${printable(value)}`);
    if (fix !== undefined) this.note(this.todo(this.text.fix, fix, '  '));
  }

  /** The fix as it has to be pasted here. */
  fix(text: string): string {
    return forProfile(text, this.profileFlag);
  }

  /** `Fix: command`, and below it what is to be known. The command stands alone on its line, so that the line can be copied. */
  todo(label: string, text: string, indent = ''): string {
    const { command, note } = splitFix(this.fix(text));
    const head = `${indent}${lead(this.paint.bold(label), label)}${command}`;
    return note === undefined ? head : `${head}\n${indent}${' '.repeat(width(lead(label, label)))}${this.paint.dim(note)}`;
  }
}

/** A label before what it is about: a full-width colon brings its own space. */
export const lead = (painted: string, label: string): string => (label.endsWith('：') ? painted : `${painted} `);

/** A failure on the way to a gateway, with the lines that say which gateway was meant. */
export class GatewayError extends UserError {
  readonly details: Readonly<Record<string, string>>;
  constructor(
    code: string,
    message: string,
    options: { fix?: string; path?: string; exitCode?: number; details: Readonly<Record<string, string>> },
  ) {
    super(code, message, options);
    this.details = options.details;
  }
}
