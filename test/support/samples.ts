import type * as z from 'zod/mini';

/** One text of a method's parameters: where it stands, and the parameters with another text put there. */
export interface TextPlace {
  readonly path: string;
  put(text: string): unknown;
}
export interface Sample {
  /** Parameters that the schema takes. */
  readonly params: unknown;
  readonly texts: readonly TextPlace[];
}

interface Def {
  readonly type: string;
  readonly shape?: Record<string, z.core.$ZodType>;
  readonly innerType?: z.core.$ZodType;
  readonly element?: z.core.$ZodType;
  readonly valueType?: z.core.$ZodType;
  readonly options?: readonly z.core.$ZodType[];
  readonly in?: z.core.$ZodType;
  readonly entries?: Record<string, string | number>;
  readonly values?: readonly unknown[];
  readonly checks?: readonly {
    readonly _zod: { readonly def: { readonly check: string; readonly minimum?: number; readonly value?: number } };
  }[];
}

/**
 * Parameters made of a schema, and every place in them that takes a text. A kind of schema that is not known here throws, so that no
 * method is forgotten in silence.
 *
 * @param known texts for keys whose schema asks for more than "a text"
 */
export function sampleOf(schema: z.core.$ZodType, known: Readonly<Record<string, unknown>> = {}): Sample {
  const texts: TextPlace[] = [];
  type Make = (replace: string, by: string) => unknown;
  const walk = (node: z.core.$ZodType, path: string, key: string): Make => {
    const def = node._zod.def as unknown as Def;
    switch (def.type) {
      case 'object': {
        const fields = Object.entries(def.shape ?? {}).map(([name, field]) => [name, walk(field, `${path}.${name}`, name)] as const);
        return (at, by) =>
          Object.fromEntries(fields.map(([name, make]) => [name, make(at, by)]).filter(([, value]) => value !== undefined));
      }
      case 'optional': {
        // What may be missing is, unless it is this that is asked for: else a wrong neighbour would answer for it.
        const make = walk(def.innerType as z.core.$ZodType, path, key);
        return (at, by) => (at.startsWith(path) ? make(at, by) : undefined);
      }
      case 'nullable':
      case 'default':
      case 'prefault':
      case 'readonly':
      case 'nonoptional':
        return walk(def.innerType as z.core.$ZodType, path, key);
      case 'pipe':
        return walk(def.in as z.core.$ZodType, path, key);
      case 'array': {
        const make = walk(def.element as z.core.$ZodType, `${path}[0]`, key);
        return (at, by) => [make(at, by)];
      }
      case 'record': {
        const make = walk(def.valueType as z.core.$ZodType, `${path}.*`, key);
        texts.push({ path: `${path}{key}`, put: (text) => root(`${path}{key}`, text) });
        return (at, by) => ({ [at === `${path}{key}` ? by : 'name']: make(at, by) });
      }
      case 'union': {
        const makes = (def.options ?? []).map((option, i) => ({ at: `${path}|${i}`, make: walk(option, `${path}|${i}`, key) }));
        return (at, by) => (makes.find((one) => at.startsWith(one.at)) ?? makes[0])?.make(at, by);
      }
      case 'string':
      case 'unknown':
      case 'any':
        texts.push({ path, put: (text) => root(path, text) });
        return (at, by) => (at === path ? by : (known[key] ?? 'abc'));
      case 'int':
      case 'number': {
        const least = (def.checks ?? [])
          .map(({ _zod }) => _zod.def.minimum ?? _zod.def.value ?? 1)
          .filter((value) => Number.isFinite(value));
        return () => known[key] ?? Math.max(1, ...least.filter((value) => Math.abs(value) < 1e9));
      }
      case 'boolean':
        return () => known[key] ?? false;
      case 'enum':
        texts.push({ path, put: (text) => root(path, text) });
        return (at, by) => (at === path ? by : (known[key] ?? Object.values(def.entries ?? {})[0]));
      case 'literal':
        return () => def.values?.[0];
      case 'null':
        return () => null;
      default:
        throw new Error(`no sample for a schema of type ${def.type} at ${path}`);
    }
  };
  let root: Make = () => undefined;
  root = walk(schema, 'params', 'params');
  return { params: root('', ''), texts };
}
