import { allOptions } from './lookup.ts';
import { CONFIG } from './options.ts';
import type { Kind, Spec } from './spec.ts';

type JsonSchema = { readonly [key: string]: unknown };

const REFERENCE: JsonSchema = {
  type: 'object',
  required: ['source', 'id'],
  properties: {
    source: { enum: ['env', 'file', 'exec'] },
    provider: { type: 'string', pattern: '^[a-z][a-z0-9_-]{0,63}$' },
    id: { type: 'string' },
  },
};

/**
 * The JSON Schema (draft 07, what editors and the control panel read) of the config file. Unknown keys pass, as they do
 * when the file is read.
 */
export function jsonSchema(): JsonSchema {
  return { $schema: 'http://json-schema.org/draft-07/schema#', title: 'openclaw.json', ...schemaOf(CONFIG) };
}

function schemaOf(spec: Spec): JsonSchema {
  return {
    description: spec.doc,
    ...(spec.default === undefined ? {} : { default: spec.default }),
    ...(spec.deprecated === undefined && spec.aliasOf === undefined ? {} : { deprecated: true }),
    ...shapeOf(spec),
  };
}

function shapeOf(spec: Spec): JsonSchema {
  const range = { ...(spec.min === undefined ? {} : { minimum: spec.min }), ...(spec.max === undefined ? {} : { maximum: spec.max }) };
  const shapes: Record<Kind, () => JsonSchema> = {
    boolean: () => ({ type: 'boolean' }),
    integer: () => ({ type: 'integer', ...range }),
    number: () => ({ type: 'number', ...range }),
    string: () => ({ type: 'string' }),
    enum: () => ({ type: 'string', enum: spec.values }),
    secret: () => ({ anyOf: [{ type: 'string' }, REFERENCE] }),
    list: () => ({ type: 'array', items: schemaOf(spec.of ?? spec) }),
    map: () => ({ type: 'object', additionalProperties: schemaOf(spec.of ?? spec) }),
    open: () => ({ type: 'object', additionalProperties: true }),
    either: () => ({ anyOf: (spec.choices ?? []).map(schemaOf) }),
    object: () => ({
      type: 'object',
      properties: Object.fromEntries(Object.entries(spec.fields ?? {}).map(([key, field]) => [key, schemaOf(field)])),
      additionalProperties: spec.rest === undefined ? true : schemaOf(spec.rest),
    }),
  };
  return shapes[spec.kind]();
}

export interface UiHint {
  readonly label: string;
  readonly help: string;
  readonly sensitive?: boolean;
  readonly tags: readonly string[];
}

/** What a form shows beside each option, by path (`models.providers.*.apiKey`). */
export function uiHints(): Readonly<Record<string, UiHint>> {
  return Object.fromEntries(
    allOptions().map(({ path, spec, reload, guard, sensitive }) => [
      path,
      {
        label: labelOf(path),
        help: spec.doc,
        ...(sensitive ? { sensitive: true } : {}),
        tags: [`reload:${reload}`, ...(guard ? ['security'] : []), ...(spec.deprecated === undefined ? [] : ['deprecated'])],
      },
    ]),
  );
}

// `maxBodyBytes` → `Max Body Bytes`
const labelOf = (path: string): string => {
  const name = path.split('.').at(-1)?.replace('[]', '') ?? path;
  return name.replace(/([a-z0-9])([A-Z])/g, '$1 $2').replace(/^./, (first) => first.toUpperCase());
};

export interface FlagOption {
  /** `--port` */
  readonly flag: string;
  /** The path it beats, for `LoadOptions.flags`. */
  readonly path: string;
  readonly kind: Kind;
  readonly values: readonly string[] | undefined;
  /** One line of help, with the variable and the default. */
  readonly help: string;
}

/** The flags that stand for options of the file, for commander and for the docs. */
export function flagOptions(): readonly FlagOption[] {
  return allOptions().flatMap(({ path, spec }) => {
    if (spec.flag === undefined) return [];
    const extras = [
      spec.env === undefined ? '' : `env ${spec.env}`,
      `config ${path}`,
      spec.default === undefined ? '' : `default ${String(spec.default)}`,
    ].filter((part) => part !== '');
    return [{ flag: spec.flag, path, kind: spec.kind, values: spec.values, help: `${spec.doc.replace(/\.$/, '')} (${extras.join(', ')})` }];
  });
}
