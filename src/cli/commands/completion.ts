import type { Run } from '../command.ts';
import type { CommandEntry, FlagSpec } from '../command-entry.ts';
import { EXIT } from '../exit-codes.ts';
import { usage } from '../usage.ts';

const SHELLS = ['bash', 'zsh', 'fish', 'powershell'] as const;

/** `openclaw completion <shell>`: a script made from the table of commands; it asks nothing of anybody when it runs. */
export const run: Run = async ({ args, out, program }) => {
  const shell = SHELLS.find((name) => name === args[0]);
  if (shell === undefined) throw usage(`a shell is one of ${SHELLS.join(', ')}`, 'openclaw completion bash');
  const script = { bash, zsh, fish, powershell }[shell](wordsOf(program));
  out.result({ shell, script });
  out.raw(script);
  return EXIT.ok;
};

interface Entry {
  /** `devices approve` */
  readonly words: string;
  readonly summary: string;
  readonly flags: readonly string[];
}

/** The table of commands as a shell needs it. */
interface Words {
  readonly commands: readonly CommandEntry[];
  readonly globals: readonly string[];
  /** Every name of every command. */
  readonly entries: readonly Entry[];
  /** What may follow each leading word: `'' → gateway health …`, `gateway → run status …`. */
  readonly tree: ReadonlyMap<string, readonly string[]>;
}

const shown = (flags: readonly FlagSpec[]): string[] => flags.filter(({ hidden }) => hidden !== true).map(({ name }) => `--${name}`);

function wordsOf({
  commands,
  globalFlags,
}: {
  readonly commands: readonly CommandEntry[];
  readonly globalFlags: readonly FlagSpec[];
}): Words {
  const globals = shown(globalFlags);
  const entries = commands.flatMap(({ path, aliases, summary, flags }) =>
    [path.join(' '), ...(aliases ?? [])].map((words) => ({ words, summary, flags: [...shown(flags), ...globals] })),
  );
  const tree = new Map<string, string[]>();
  const add = (parent: string, word: string): void => void tree.set(parent, [...new Set([...(tree.get(parent) ?? []), word])]);
  for (const { words } of entries) {
    const [first = '', second] = words.split(' ');
    add('', first);
    if (second !== undefined) add(first, second);
  }
  return { commands, globals, entries, tree };
}

function bash(table: Words): string {
  const { tree, entries, globals } = table;
  const words = [...tree].map(([parent, next]) => `    '${parent}') words='${next.join(' ')}' ;;`);
  const flags = entries.map(({ words: name, flags: list }) => `    '${name}') flags='${list.join(' ')}' ;;`);
  return `# openclaw completion for bash
_openclaw() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" first='' second='' word words='' flags='${globals.join(' ')}' i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    [[ $word == -* ]] && continue
    if [[ -z $first ]]; then first="$word"; elif [[ -z $second ]]; then second="$word"; fi
  done
  if [[ -z $second ]]; then case "$first" in
${words.join('\n')}
  esac; fi
  case "$first\${second:+ $second}" in
${flags.join('\n')}
  esac
  if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "$flags" -- "$cur")); else COMPREPLY=($(compgen -W "$words" -- "$cur")); fi
}
complete -o default -F _openclaw openclaw
`;
}

const quoted = (text: string): string => text.replaceAll("'", "'\\''");

function zsh(table: Words): string {
  const { tree, entries, globals } = table;
  const cases = [...tree].map(([parent, next]) => {
    const rows = next.map(
      (word) => `'${word}:${quoted(summaryOf(table, parent === '' ? word : `${parent} ${word}`)).replaceAll(':', '\\:')}'`,
    );
    return `    '${parent}') candidates=(${rows.join(' ')}) ;;`;
  });
  const flags = entries.map(({ words, flags: list }) => `    '${words}') options=(${list.join(' ')}) ;;`);
  return `#compdef openclaw
_openclaw() {
  local -a candidates options plain
  plain=(\${words[2,CURRENT-1]:#-*})
  if [[ $PREFIX == -* ]]; then
    options=(${globals.join(' ')})
    case "\${(j: :)plain[1,2]}" in
${flags.join('\n')}
    esac
    compadd -- $options
    return
  fi
  (( \${#plain} > 1 )) && { _files; return }
  case "\${plain[1]}" in
${cases.join('\n')}
  esac
  _describe command candidates || _files
}
compdef _openclaw openclaw
`;
}

function summaryOf({ commands }: Words, words: string): string {
  const command = commands.find(({ path, aliases }) => path.join(' ') === words || aliases?.includes(words));
  return command?.summary ?? 'more commands';
}

function fish(table: Words): string {
  const { tree } = table;
  const lines = ['# openclaw completion for fish', 'complete -c openclaw -f'];
  for (const [parent, next] of tree) {
    for (const word of next) {
      const when =
        parent === ''
          ? '__fish_use_subcommand'
          : `__fish_seen_subcommand_from ${parent}; and not __fish_seen_subcommand_from ${next.join(' ')}`;
      lines.push(
        `complete -c openclaw -n '${when}' -a '${word}' -d '${quoted(summaryOf(table, parent === '' ? word : `${parent} ${word}`))}'`,
      );
    }
  }
  for (const { path, flags } of table.commands) {
    const [first = '', second] = path;
    const when =
      second === undefined
        ? `__fish_seen_subcommand_from ${first}`
        : `__fish_seen_subcommand_from ${first}; and __fish_seen_subcommand_from ${second}`;
    for (const { name, short, value, summary, hidden } of flags) {
      if (hidden === true) continue;
      lines.push(
        `complete -c openclaw -n '${when}' -l ${name}${short === undefined ? '' : ` -s ${short}`}${value === undefined ? '' : ' -r'} -d '${quoted(summary)}'`,
      );
    }
  }
  return `${lines.join('\n')}\n`;
}

function powershell(table: Words): string {
  const { tree, entries } = table;
  const words = [...tree].map(([parent, next]) => `    '${parent}' = @(${next.map((word) => `'${word}'`).join(', ')})`);
  const flags = entries.map(({ words: name, flags: list }) => `    '${name}' = @(${list.map((flag) => `'${flag}'`).join(', ')})`);
  return `# openclaw completion for PowerShell
Register-ArgumentCompleter -Native -CommandName openclaw -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $words = @{
${words.join('\n')}
  }
  $flags = @{
${flags.join('\n')}
  }
  $plain = @($commandAst.CommandElements | Select-Object -Skip 1 | ForEach-Object { $_.ToString() } | Where-Object { $_ -notlike '-*' -and $_ -ne $wordToComplete })
  $name = ($plain | Select-Object -First 2) -join ' '
  $found = if ($wordToComplete -like '-*') { $flags[$name] } elseif ($plain.Count -lt 2) { $words[$name] }
  $found | Where-Object { $_ -like "$wordToComplete*" } | ForEach-Object { [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_) }
}
`;
}
