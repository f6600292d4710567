import { allOptions, type ListedOption } from './lookup.ts';
import { ENV_VARIABLES } from './options.ts';
import { expectation } from './read.ts';
import type { Spec } from './spec.ts';

/**
 * `docs/config.md`: every option of the table, one line each, by section of the file. Written by `scripts/config-docs.ts`;
 * a test says when it is out of date.
 */
export function configReference(): string {
  const options = allOptions();
  const sections = options.filter(({ path }) => !path.includes('.') && path !== '$schema');
  const plain = sections.filter(
    ({ path }) => !options.some((option) => option.path.startsWith(`${path}.`) || option.path.startsWith(`${path}[`)),
  );
  const parts = sections.filter((section) => !plain.includes(section));
  return [
    '# Settings',
    '',
    '<!-- Written by scripts/config-docs.ts from src/config/options.ts: change it there. -->',
    '',
    'The file is `~/.openclaw/openclaw.json`, in JSON5: comments, bare keys and trailing commas are fine. It may be missing; then',
    'the defaults hold. An unknown key is a warning and stays in the file; a wrong value is an error that names the key, the value and',
    'a fix. A flag beats the environment, the environment beats the file, the file beats the default.',
    '',
    '```',
    'openclaw config get gateway.port        what holds, and where it comes from',
    'openclaw config set gateway.port 18790  keeps comments, checks the whole file first',
    'openclaw config validate                what is wrong',
    '```',
    '',
    '`*` stands for a name of your own, `[]` for the entries of a list. **Reload**: what a change asks of a running gateway:',
    '`none` nothing, `hot` a part is renewed in place, `restart` it restarts when it is idle. 🔒: the value guards access, and a wrong',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: this is what people write into the file
    'one lets nothing start. Secrets may be a text, `"${NAME}"` of a variable, or `{ source: "env", id: "NAME" }` and the like.',
    '',
    ...parts.flatMap((section) => [
      `## ${section.path}`,
      '',
      section.spec.doc,
      '',
      ...table(options.filter(({ path }) => path.startsWith(`${section.path}.`) || path.startsWith(`${section.path}[`))),
      '',
    ]),
    '## Further sections',
    '',
    'Known, and not judged key by key:',
    '',
    '| key | | reload |',
    '| --- | --- | --- |',
    ...plain.map(({ path, spec, reload }) => `| \`${path}\` | ${cell(spec.doc)} | ${reload} |`),
    '',
    '## Variables',
    '',
    'Beside those named above. They may also stand in the `.env` file of the state dir, but for the first four; that of the working',
    'directory is never read.',
    '',
    '| variable | |',
    '| --- | --- |',
    ...ENV_VARIABLES.map(({ name, doc }) => `| \`${name}\` | ${cell(doc)} |`),
    '',
  ].join('\n');
}

function table(options: readonly ListedOption[]): string[] {
  const leaves = options.filter(({ spec }) => spec.kind !== 'object' && spec.kind !== 'map');
  return [
    '| key | value | default | | reload |',
    '| --- | --- | --- | --- | --- |',
    ...leaves.map(
      ({ path, spec, reload, guard }) =>
        `| \`${path}\`${guard ? ' 🔒' : ''} | ${cell(takes(spec))} | ${spec.default === undefined ? '' : `\`${JSON.stringify(spec.default)}\``} | ${cell(docOf(spec))} | ${reload} |`,
    ),
  ];
}

function takes(spec: Spec): string {
  if (spec.kind === 'enum') return (spec.values ?? []).join(', ');
  if (spec.kind === 'secret') return 'a secret';
  if (spec.kind === 'list' && spec.of?.kind === 'enum') return `a list of ${(spec.of.values ?? []).join(', ')}`;
  return spec.kind === 'open' ? 'an object' : expectation(spec);
}

const docOf = (spec: Spec): string =>
  [
    spec.doc,
    spec.flag === undefined ? '' : `Flag \`${spec.flag}\`.`,
    spec.env === undefined ? '' : `Variable \`${spec.env}\`.`,
    spec.aliasOf === undefined ? '' : `Same as \`${spec.aliasOf}\`.`,
    spec.deprecated === undefined ? '' : `Of an older version: ${spec.deprecated}.`,
  ]
    .filter((part) => part !== '')
    .join(' ');

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;').replaceAll('\n', ' ');
