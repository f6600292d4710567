import type { CommandEntry, FlagSpec } from './command-entry.ts';
import type { Paint } from './format/paint.ts';
import { pad, width } from './format/text.ts';
import { wrap } from './format/wrap.ts';
import type { Messages } from './i18n.ts';
import { COMMANDS, GLOBAL_FLAGS } from './program.ts';

/** How help looks: language, colours, and how wide. */
export interface HelpStyle {
  readonly text: Messages;
  readonly paint: Paint;
  readonly columns: number;
  /** A summary of the table in the reader's language. */
  readonly say: (summary: string) => string;
}

/** What help is asked about: everything, a group, or one command. */
export interface HelpTopic {
  readonly command?: CommandEntry;
  readonly group?: string;
}

const shownIn = (group: string | undefined): CommandEntry[] => COMMANDS.filter(({ path }) => group === undefined || path[0] === group);

/** The words that begin the commands of each section of the overview, in the order in which a newcomer needs them. */
const SECTIONS = [
  ['helpTalk', ['chat', 'agent', 'sessions', 'models']],
  ['helpLook', ['status', 'health', 'logs']],
  ['helpGateway', ['gateway']],
  ['helpAccess', ['devices', 'auth', 'dashboard']],
  ['helpSettings', ['config', 'completion', 'docs']],
] as const;

/** Help from the table alone. */
export function helpText(style: HelpStyle, about: HelpTopic): string {
  const { text, paint } = style;
  if (about.command !== undefined) return commandHelp(about.command, style);
  const { group } = about;
  const body =
    group === undefined
      ? SECTIONS.flatMap(([heading, words]) => [
          paint.bold(text[heading]),
          commandList(
            words.flatMap((word) => shownIn(word)),
            style,
          ),
          '',
        ])
      : [paint.bold(text.commands), commandList(shownIn(group), style), ''];
  return [
    ...(group === undefined ? [...wrap(`OpenClaw Gateway: ${text.tagline}`, style.columns), ''] : []),
    `${paint.bold(text.usage)} openclaw ${group ?? '<command>'} ${group === undefined ? '[flags]' : '<command> [flags]'}`,
    '',
    ...body,
    paint.bold(text.globalFlags),
    flagList(GLOBAL_FLAGS, style),
    '',
    ...(group === undefined
      ? [paint.bold(text.exitCodes), ...wrap(text.exitCodeText, style.columns - 2).map((row) => `  ${row}`), '']
      : []),
    ...wrap(text.moreHelp, style.columns),
  ].join('\n');
}

/** The same as data: the part of the table that the topic is about. */
export function helpData(about: HelpTopic): Record<string, unknown> {
  const commands = about.command === undefined ? shownIn(about.group) : [about.command];
  return { commands: commands.map(entryData), globalFlags: GLOBAL_FLAGS.map(flagData) };
}

const entryData = ({ path, aliases, args, summary, flags, examples }: CommandEntry): Record<string, unknown> => ({
  command: path.join(' '),
  ...(aliases === undefined ? {} : { aliases }),
  ...(args === undefined ? {} : { args }),
  summary,
  flags: flags.filter(isShown).map(flagData),
  examples,
});
const flagData = ({ name, short, value, choices, summary }: FlagSpec): Record<string, unknown> => ({
  name: `--${name}`,
  ...(short === undefined ? {} : { short: `-${short}` }),
  ...(value === undefined ? {} : { value }),
  ...(choices === undefined ? {} : { choices }),
  summary,
});
const isShown = ({ hidden }: FlagSpec): boolean => hidden !== true;

function commandHelp({ path, aliases, args, flags, summary, examples }: CommandEntry, style: HelpStyle): string {
  const { text, paint, say } = style;
  const own = flags.filter(isShown);
  return [
    ...wrap(say(summary), style.columns),
    '',
    `${paint.bold(text.usage)} openclaw ${[...path, ...(args === undefined ? [] : [args]), '[flags]'].join(' ')}`,
    ...(aliases ?? []).map((alias) => `${' '.repeat(width(text.usage) + 1)}openclaw ${alias}`),
    ...(own.length === 0 ? [] : ['', paint.bold(text.flags), flagList(own, style)]),
    '',
    paint.bold(text.globalFlags),
    flagList(GLOBAL_FLAGS, style),
    '',
    paint.bold(text.examples),
    ...examples.map((example) => `  ${example}`),
  ].join('\n');
}

const commandList = (commands: readonly CommandEntry[], style: HelpStyle): string =>
  list(
    commands.map(({ path, args, summary }) => [[...path, ...(args === undefined ? [] : [args])].join(' '), summary] as const),
    style,
    // One column for all sections, or the eye has to search for it anew in each.
    style.columns < 80 ? 0 : 24,
  );

const flagList = (flags: readonly FlagSpec[], style: HelpStyle): string =>
  list(
    flags.map(({ name, short, value, choices, summary }) => {
      const head = `${short === undefined ? '    ' : `-${short}, `}--${name}${value === undefined ? '' : ` ${choices?.join('|') ?? value}`}`;
      return [head, summary] as const;
    }),
    style,
    0,
  );

/** Least width for what a thing does; with less it goes below its name. */
const LEAST = 30;
const INDENT = 2;

function list(rows: readonly (readonly [name: string, summary: string])[], { paint, columns, say }: HelpStyle, least: number): string {
  const names = Math.max(least, ...rows.map(([name]) => width(name)));
  const beside = columns - INDENT - names - 2;
  return rows
    .flatMap(([name, summary]) => {
      if (beside < LEAST) {
        const below = wrap(say(summary), Math.max(LEAST, columns) - 6).map((row) => `      ${row}`);
        return [`${' '.repeat(INDENT)}${paint.cyan(name.trimStart())}`, ...below];
      }
      const [first = '', ...more] = wrap(say(summary), beside);
      const hang = ' '.repeat(INDENT + names + 2);
      return [`${' '.repeat(INDENT)}${paint.cyan(pad(name, names))}  ${first}`, ...more.map((row) => `${hang}${row}`)];
    })
    .join('\n');
}
