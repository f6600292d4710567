import type { CommandEntry, FlagSpec } from './command-entry.ts';
import type { Paint } from './format/paint.ts';
import { pairs } from './format/table.ts';
import type { Messages } from './i18n.ts';
import { COMMANDS, GLOBAL_FLAGS } from './program.ts';

/** Help for everything, a group or one command, from the table alone. */
export function helpText(text: Messages, paint: Paint, about: { readonly command?: CommandEntry; readonly group?: string }): string {
  if (about.command !== undefined) return commandHelp(about.command, text, paint);
  const group = about.group;
  const shown = COMMANDS.filter(({ path }) => group === undefined || path[0] === group);
  const lines = [
    ...(group === undefined ? [`OpenClaw Gateway: ${text.tagline}`, ''] : []),
    `${paint.bold(text.usage)} openclaw ${group ?? '<command>'} ${group === undefined ? '[flags]' : '<command> [flags]'}`,
    '',
    paint.bold(text.commands),
    indent(
      pairs(
        shown.map(({ path, args, summary }) => [[...path, ...(args === undefined ? [] : [args])].join(' '), summary] as const),
        paint.cyan,
      ),
    ),
    '',
    paint.bold(text.globalFlags),
    indent(flagLines(GLOBAL_FLAGS, paint)),
    '',
  ];
  if (group === undefined) lines.push(`${paint.bold(text.exitCodes)}  ${text.exitCodeText}`, '');
  lines.push(text.moreHelp);
  return lines.join('\n');
}

function commandHelp({ path, aliases, args, flags, summary, examples }: CommandEntry, text: Messages, paint: Paint): string {
  const own = flags.filter(({ hidden }) => hidden !== true);
  return [
    summary,
    '',
    `${paint.bold(text.usage)} openclaw ${[...path, ...(args === undefined ? [] : [args]), '[flags]'].join(' ')}`,
    ...(aliases ?? []).map((alias) => `       openclaw ${alias}`),
    ...(own.length === 0 ? [] : ['', paint.bold(text.flags), indent(flagLines(own, paint))]),
    '',
    paint.bold(text.globalFlags),
    indent(flagLines(GLOBAL_FLAGS, paint)),
    '',
    paint.bold(text.examples),
    ...examples.map((example) => `  ${example}`),
  ].join('\n');
}

const flagLines = (flags: readonly FlagSpec[], paint: Paint): string =>
  pairs(
    flags.map(({ name, short, value, choices, summary }) => {
      const head = `${short === undefined ? '    ' : `-${short}, `}--${name}${value === undefined ? '' : ` ${choices?.join('|') ?? value}`}`;
      return [head, summary] as const;
    }),
    paint.cyan,
  );

const indent = (text: string): string => text.replace(/^(?=.)/gm, '  ');
