/**
 * The small language in which `options.ts` describes the config file. One description gives the TypeScript type, the
 * validation, the JSON Schema, the flags and the docs. (Not zod: this is read on every CLI call, before anything else,
 * and an unknown key has to survive with a "did you mean".)
 */

/** What a change of a value asks of a running gateway: nothing (read on demand), a part restarted in place, or everything. */
export type Reload = 'none' | 'hot' | 'restart';

export interface Meta {
  /** One line, for people. */
  readonly doc: string;
  /** The environment variable that beats the file. */
  readonly env?: string;
  /** The flag that beats both. */
  readonly flag?: string;
  /** Never shown: redacted in every view. */
  readonly sensitive?: boolean;
  /** Looks like a secret, and is none: a fingerprint. Shown as it is. */
  readonly plain?: boolean;
  /** Inherited by everything below. */
  readonly reload?: Reload;
  /** Guards access: fails closed. Inherited by everything below. */
  readonly guard?: boolean;
  /** The key of today for one of another version: its value is taken over where the other is unset. */
  readonly aliasOf?: string;
  /** Said as a warning when the key is used. */
  readonly deprecated?: string;
}

export type Kind = 'boolean' | 'integer' | 'number' | 'string' | 'enum' | 'secret' | 'list' | 'map' | 'object' | 'open' | 'either';

/** A value of the file. `T` is the type it has once read; phantom. */
export interface Spec<out T = unknown> extends Meta {
  readonly kind: Kind;
  readonly default?: unknown;
  readonly values?: readonly string[];
  readonly min?: number;
  readonly max?: number;
  /** Says what is wrong with a value of the right type. */
  readonly check?: (value: never) => Complaint | undefined;
  /** A fix for values that people write and that are not allowed. */
  readonly hint?: (value: unknown) => string | undefined;
  readonly of?: Spec;
  readonly choices?: readonly Spec[];
  readonly fields?: Readonly<Record<string, Spec>>;
  /** What keys that are not listed hold, where other keys are part of the design (`env.NAME`). */
  readonly rest?: Spec;
  /** Brings a right value into its one form. */
  readonly tidy?: (value: never) => unknown;
  /** The object is `undefined` when absent, instead of made of its defaults. */
  readonly optional?: boolean;
  readonly type?: T;
}

export interface Complaint {
  readonly message: string;
  readonly fix?: string;
}

/** A secret in the file: its text, or where to find it. */
export type SecretInput = string | SecretRef;
export interface SecretRef {
  readonly source: 'env' | 'file' | 'exec';
  readonly provider?: string | undefined;
  readonly id: string;
}

export type Infer<S> = S extends Spec<infer T> ? T : never;
type With<T, M> = M extends { readonly default: T } ? T : T | undefined;
type Leaf<T> = Omit<Meta, 'doc'> & {
  readonly default?: T;
  readonly check?: (value: T) => Complaint | undefined;
  readonly hint?: (value: unknown) => string | undefined;
  readonly tidy?: (value: T) => T;
};
type NumberLeaf = Leaf<number> & { readonly min?: number; readonly max?: number };

export const bool = <const M extends Leaf<boolean>>(doc: string, meta?: M): Spec<With<boolean, M>> =>
  ({ kind: 'boolean', doc, ...meta }) as never;
export const int = <const M extends NumberLeaf>(doc: string, meta?: M): Spec<With<number, M>> =>
  ({ kind: 'integer', doc, ...meta }) as never;
export const num = <const M extends NumberLeaf>(doc: string, meta?: M): Spec<With<number, M>> =>
  ({ kind: 'number', doc, ...meta }) as never;
export const str = <const M extends Leaf<string>>(doc: string, meta?: M): Spec<With<string, M>> =>
  ({ kind: 'string', doc, ...meta }) as never;
export const secret = (doc: string, meta?: Omit<Leaf<never>, 'default'>): Spec<SecretInput | undefined> =>
  ({ kind: 'secret', doc, sensitive: true, ...meta }) as never;
export const oneOf = <const V extends readonly string[], const M extends Leaf<V[number]>>(
  values: V,
  doc: string,
  meta?: M,
): Spec<With<V[number], M>> => ({ kind: 'enum', values, doc, ...meta }) as never;
export const list = <T, const M extends Leaf<readonly NonNullable<T>[]>>(
  of: Spec<T>,
  doc: string,
  meta?: M,
): Spec<With<readonly NonNullable<T>[], M>> => ({ kind: 'list', of, doc, ...meta }) as never;
/** Names chosen by the user; absent counts as empty. */
export const map = <T>(of: Spec<T>, doc: string, meta?: Omit<Meta, 'doc'>): Spec<{ readonly [name: string]: NonNullable<T> }> =>
  ({ kind: 'map', of, doc, ...meta }) as never;
/** An object whose keys this version does not judge. */
export const open = (doc: string, meta?: Omit<Meta, 'doc'>): Spec<{ readonly [key: string]: unknown } | undefined> =>
  ({ kind: 'open', doc, ...meta }) as never;
export const either = <const C extends readonly Spec[]>(
  choices: C,
  doc: string,
  meta?: Omit<Meta, 'doc'>,
): Spec<NonNullable<Infer<C[number]>> | undefined> => ({ kind: 'either', choices, doc, ...meta }) as never;

type Fields = Readonly<Record<string, Spec>>;
type Read<F extends Fields> = { readonly [K in keyof F]: Infer<F[K]> };
/** Known keys. Always there once read, made of defaults where the file has none. */
export const object = <const F extends Fields>(
  doc: string,
  fields: F,
  meta?: Omit<Meta, 'doc'> & { readonly rest?: Spec },
): Spec<Read<F>> => ({ kind: 'object', doc, fields, ...meta }) as never;
/** Known keys of an object that may be absent, and then is `undefined`. */
export const optional = <const F extends Fields>(doc: string, fields: F, meta?: Omit<Meta, 'doc'>): Spec<Read<F> | undefined> =>
  ({ kind: 'object', doc, fields, optional: true, ...meta }) as never;
