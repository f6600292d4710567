import type * as z from 'zod/mini';

/** What is put at places of a method's parameters: a text's length, a list's, `most` for a number, `true` for a flag. By path. */
export type Settings = Readonly<Record<string, number | 'most' | true>>;

export interface Place {
  readonly path: string;
  readonly kind: 'text' | 'list' | 'number' | 'flag';
  /** The longest text or list that the schema takes. */
  readonly most: number;
}
export interface Shape {
  readonly places: readonly Place[];
  /** Parameters with these settings; what is optional and not set is left out. */
  make(settings: Settings): unknown;
}

interface Def {
  readonly type: string;
  readonly shape?: Record<string, z.core.$ZodType>;
  readonly innerType?: z.core.$ZodType;
  readonly element?: z.core.$ZodType;
  readonly entries?: Record<string, string | number>;
  readonly checks?: readonly {
    readonly _zod: { readonly def: { readonly check: string; readonly maximum?: number; readonly value?: number } };
  }[];
}

/** The bounds that a schema's checks name. */
function boundsOf({ checks = [] }: Def): { least: number; most: number } {
  const bound = (check: string): number | undefined => {
    const named = checks.find(({ _zod }) => _zod.def.check === check)?._zod.def;
    return named?.maximum ?? named?.value;
  };
  return {
    least: Math.max(1, bound('greater_than') ?? 1),
    most: bound('max_length') ?? bound('less_than') ?? 1_000_000,
  };
}

/**
 * Where a schema takes something whose size a caller chooses. A kind of schema that is not known here throws, so that no method is
 * forgotten in silence.
 *
 * @param known the text for a key, and the how-manieth of its list it is, where any text would only be refused
 */
export function shapeOf(schema: z.core.$ZodType, known: (key: string, index: number) => string | number | undefined): Shape {
  const places: Place[] = [];
  type Make = (settings: Settings, index: number) => unknown;
  const walk = (node: z.core.$ZodType, path: string, key: string): Make => {
    const def = node._zod.def as unknown as Def;
    const { least, most } = boundsOf(def);
    switch (def.type) {
      case 'object': {
        const fields = Object.entries(def.shape ?? {}).map(([name, field]) => [name, walk(field, `${path}.${name}`, name)] as const);
        return (settings, index) =>
          Object.fromEntries(fields.map(([name, make]) => [name, make(settings, index)]).filter(([, value]) => value !== undefined));
      }
      case 'optional': {
        const make = walk(def.innerType as z.core.$ZodType, path, key);
        return (settings, index) => (Object.keys(settings).some((at) => at.startsWith(path)) ? make(settings, index) : undefined);
      }
      case 'nullable':
        return walk(def.innerType as z.core.$ZodType, path, key);
      case 'array': {
        places.push({ path, kind: 'list', most });
        const make = walk(def.element as z.core.$ZodType, `${path}[]`, key);
        return (settings) => Array.from({ length: Number(settings[path] ?? 1) }, (_, i) => make(settings, i));
      }
      case 'string':
        places.push({ path, kind: 'text', most });
        return (settings, index) => {
          const length = settings[path];
          return typeof length === 'number' ? 'a'.repeat(length) : (known(key, index) ?? 'abc');
        };
      case 'int':
      case 'number': {
        // What waits by design is asked for no longer than it is known to.
        const fixed = known(key, 0);
        if (fixed === undefined) places.push({ path, kind: 'number', most });
        return (settings) => fixed ?? (settings[path] === 'most' ? most : least);
      }
      case 'boolean':
        places.push({ path, kind: 'flag', most: 1 });
        return (settings) => settings[path] === true;
      case 'enum':
        return () => Object.values(def.entries ?? {})[0];
      default:
        throw new Error(`no frames for a schema of type ${def.type} at ${path}`);
    }
  };
  const make = walk(schema, '', '');
  return { places, make: (settings) => make(settings, 0) };
}

/** Settings to begin with: the least, all of it, each place alone at its sizes. A text or list longer than allowed is refused, which costs too. */
export function firstSettings({ places }: Shape, maxBytes: number): Settings[] {
  const greatest = (kinds: readonly Place['kind'][]): Settings =>
    Object.fromEntries(places.filter(({ kind }) => kinds.includes(kind)).map(({ path, kind }) => [path, kind === 'flag' ? true : 'most']));
  const numbers = greatest(['number', 'flag']);
  const sizes = ({ kind, most }: Place): readonly (number | 'most' | true)[] => {
    if (kind === 'number') return ['most'];
    if (kind === 'flag') return [true];
    const wanted = kind === 'text' ? [1, most, 1_000, 60_000] : [1, 16, most];
    return [...new Set(wanted.map((n) => Math.min(n, maxBytes - 2_000, 1_000_000)))];
  };
  const alone = places.flatMap((place) => sizes(place).map((size): Settings => ({ [place.path]: size })));
  // A list is asked for with all that numbers can ask of it; so is every long text.
  const together = places.filter(({ kind }) => kind === 'list').map(({ path, most }): Settings => ({ ...numbers, [path]: most }));
  return [{}, greatest(['number']), numbers, ...together, ...alone];
}

/** Neighbours: one size doubled, halved, and what `other` has put in as well. */
export function stepsFrom(settings: Settings, shape: Shape, maxBytes: number, other: Settings): Settings[] {
  const steps = Object.entries(settings).flatMap(([path, size]): Settings[] => {
    if (typeof size !== 'number') return [];
    const most = Math.min(shape.places.find((place) => place.path === path)?.most ?? 0, maxBytes - 2_000);
    return [Math.min(most, size * 2), Math.floor(size / 2)].filter((n) => n >= 1 && n !== size).map((n) => ({ ...settings, [path]: n }));
  });
  return [...steps, { ...other, ...settings }];
}
