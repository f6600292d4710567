import { nearestName } from '../config/near.ts';
import type { UserError } from '../lib/errors.ts';
import { err, ok, type Result } from '../lib/result.ts';
import type { CommandSpec } from './command.ts';
import type { FlagSpec } from './command-entry.ts';
import { Flags } from './flags.ts';
import { COMMANDS, GLOBAL_FLAGS } from './program.ts';
import { usage } from './usage.ts';

export type Invocation =
  | { readonly kind: 'version' }
  /** `group`: the words that were given, when they name a group and no command. */
  | { readonly kind: 'help'; readonly command?: CommandSpec; readonly group?: string }
  | { readonly kind: 'run'; readonly command: CommandSpec; readonly flags: Flags; readonly args: readonly string[] };

/** Reads a command line against the table. An error is wrong usage (exit 2) that says what was meant. */
export function parseArgv(argv: readonly string[]): Result<Invocation, UserError> {
  const { words, rest } = commandWords(argv);
  const found = findCommand(words);
  const asksHelp = rest.includes('--help') || rest.includes('-h');

  if (words.length === 0) {
    if (rest.some((token) => token === '--version' || token === '-V' || token === '-v')) return ok({ kind: 'version' });
    const unknown = rest.find((token) => token.startsWith('-') && !isGlobal(token));
    return unknown === undefined ? ok({ kind: 'help' }) : err(unknownFlag(unknown, GLOBAL_FLAGS, 'openclaw --help'));
  }
  if (words[0] === 'help') return helpFor(words.slice(1), rest);
  if (found === undefined) {
    if (isGroup(words[0] ?? '') && (words.length === 1 || asksHelp)) return ok({ kind: 'help', group: words[0] ?? '' });
    return err(unknownCommand(words));
  }
  // `gateway bogus` is no `gateway` with an argument.
  const extra = words.slice(found.used);
  if (extra.length > 0 && isGroup(words[0] ?? '') && (found.command.maxArgs ?? 0) === 0) return err(unknownCommand(words));
  if (asksHelp)
    return ok(
      isGroup(words[0] ?? '') && words.length === 1 && found.command.path.length > 1
        ? { kind: 'help', group: words[0] ?? '' }
        : { kind: 'help', command: found.command },
    );
  return parseFlags(found.command, [...extra, ...rest]);
}

/** The leading words, stepping over global flags among them; all else stays in order. */
function commandWords(argv: readonly string[]): { words: string[]; rest: string[] } {
  const words: string[] = [];
  const rest: string[] = [];
  let i = 0;
  for (; i < argv.length && words.length < 2; i++) {
    const token = argv[i] ?? '';
    if (token === '--') break;
    if (token === '--profile') {
      rest.push(token, ...argv.slice(i + 1, i + 2));
      i++;
    } else if (token.startsWith('-')) {
      // Behind a first word only global flags may stand before the second: what follows another flag may be its value.
      if (words.length > 0 && !isGlobal(token)) break;
      rest.push(token);
    } else {
      // One word is enough where it is no group: what follows is an argument.
      if (words.length === 1 && !isGroup(words[0] ?? '') && words[0] !== 'help') break;
      words.push(token);
    }
  }
  return { words, rest: [...rest, ...argv.slice(i)] };
}

const isGlobal = (token: string): boolean =>
  GLOBAL_FLAGS.some(({ name, short }) => token === `--${name}` || (short !== undefined && token === `-${short}`)) ||
  token.startsWith('--profile=') ||
  token === '-v';

const isGroup = (word: string): boolean => COMMANDS.some(({ path }) => path.length > 1 && path[0] === word);

function findCommand(words: readonly string[]): { command: CommandSpec; used: number } | undefined {
  for (let used = words.length; used > 0; used--) {
    const name = words.slice(0, used).join(' ');
    const command = COMMANDS.find(({ path, aliases }) => path.join(' ') === name || aliases?.includes(name));
    if (command !== undefined) return { command, used };
  }
  return undefined;
}

function helpFor(words: readonly string[], rest: readonly string[]): Result<Invocation, UserError> {
  const all = [...words, ...rest.filter((token) => !token.startsWith('-'))].slice(0, 2);
  if (all.length === 0) return ok({ kind: 'help' });
  if (all.length === 1 && isGroup(all[0] ?? '')) return ok({ kind: 'help', group: all[0] ?? '' });
  const found = findCommand(all);
  return found === undefined ? err(unknownCommand(all)) : ok({ kind: 'help', command: found.command });
}

function unknownCommand(words: readonly string[]): UserError {
  const [first = '', second] = words;
  const inGroup = isGroup(first) && second !== undefined;
  const names = inGroup
    ? COMMANDS.filter(({ path }) => path[0] === first && path.length > 1).map(({ path }) => path[1] ?? '')
    : [...new Set(COMMANDS.flatMap(({ path, aliases }) => [path[0] ?? '', ...(aliases ?? []).filter((alias) => !alias.includes(' '))]))];
  const near = likely(inGroup ? second : first, names);
  const shown = JSON.stringify((inGroup ? `${first} ${second}` : first).slice(0, 60));
  const meant = near === undefined ? undefined : `openclaw ${inGroup ? `${first} ${near}` : near}`;
  return usage(
    `unknown command ${shown}${meant === undefined ? '' : `; did you mean "${meant}"?`}`,
    meant ?? `openclaw${inGroup ? ` ${first}` : ''} --help`,
  );
}

/** A suggestion is a command that may be pasted unread: it must share its beginning with what was typed. */
function likely(typed: string, names: readonly string[]): string | undefined {
  const near = nearestName(typed, names);
  return near !== undefined && near[0]?.toLowerCase() === typed[0]?.toLowerCase() ? near : undefined;
}

function unknownFlag(token: string, specs: readonly FlagSpec[], help: string): UserError {
  const name = token.replace(/=.*/s, '').replace(/^-+/, '');
  const near = likely(
    name,
    specs.filter(({ hidden }) => hidden !== true).map((spec) => spec.name),
  );
  const shown = token.replace(/=.*/s, '').slice(0, 60);
  return usage(`unknown flag ${shown}${near === undefined ? '' : `; did you mean --${near}?`}`, help);
}

function parseFlags(command: CommandSpec, tokens: readonly string[]): Result<Invocation, UserError> {
  const specs = [...command.flags, ...GLOBAL_FLAGS];
  const help = `openclaw ${command.path.join(' ')} --help`;
  const { parseArgs } = process.getBuiltinModule('node:util');
  const options = Object.fromEntries(
    specs.map(({ name, short, value }) => [
      name,
      { type: value === undefined ? ('boolean' as const) : ('string' as const), ...(short === undefined ? {} : { short }), multiple: true },
    ]),
  );
  const { tokens: parsed, positionals } = parseArgs({ args: [...tokens], options, strict: false, allowPositionals: true, tokens: true });
  const values = new Map<string, string[]>();
  for (const token of parsed) {
    if (token.kind !== 'option') continue;
    const spec = specs.find(({ name }) => name === token.name);
    if (spec === undefined) return err(unknownFlag(token.rawName, specs, help));
    if (spec.value === undefined) {
      if (token.value !== undefined) return err(usage(`--${spec.name} takes no value`, help));
      values.set(spec.name, ['']);
      continue;
    }
    if (token.value === undefined) return err(usage(`--${spec.name} needs a value: --${spec.name} ${spec.value}`, help));
    if (!token.inlineValue && token.value.startsWith('-') && token.value.length > 1)
      return err(usage(`--${spec.name} needs a value; one that begins with "-" is written --${spec.name}=…`, help));
    if (spec.choices !== undefined && !spec.choices.includes(token.value))
      return err(usage(`--${spec.name} must be one of ${spec.choices.join(', ')}`, help));
    const before = values.get(spec.name);
    if (before !== undefined && spec.many !== true) return err(usage(`--${spec.name} is given twice`, help));
    values.set(spec.name, [...(before ?? []), token.value]);
  }
  if (positionals.length > (command.maxArgs ?? 0)) {
    const surplus = positionals[command.maxArgs ?? 0] ?? '';
    return err(usage(`unexpected argument ${JSON.stringify(surplus.slice(0, 60))}`, help));
  }
  return ok({ kind: 'run', command, flags: new Flags(values, help), args: positionals });
}
