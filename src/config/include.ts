import { isRecord } from '../lib/json.ts';
import { err, ok, type Result } from '../lib/result.ts';
import { Pauses } from './breathe.ts';
import { fs, path } from './builtins.ts';
import { countNodes, MAX_CONFIG_NODES, parseJson5 } from './json5-text.ts';
import { formatPath, type KeyPath } from './key-path.ts';
import { foreignPath } from './local-path.ts';
import { readTextFile } from './read-file.ts';
import { treeFlaw } from './tree.ts';

export const INCLUDE_LIMITS = { depth: 10, bytes: 2 * 1024 * 1024, files: 100, bytesInAll: 5 * 1024 * 1024 } as const;

export interface IncludeFlaw {
  /** The key whose `$include` failed. */
  readonly path: string;
  readonly message: string;
}

/**
 * Replaces every `{ $include: "file" }` or `{ $include: ["a", "b"] }` in `tree` by what the files hold. Files are merged in
 * order, and keys beside `$include` over them: objects deeply, lists joined, anything else by the later. Paths count from
 * the including file and must stay, symlinks followed, in the directory of the config.
 *
 * @param spent what the including file itself has used of the bounds that count for all files together
 * @returns the tree, and the files that were read
 */
export async function resolveIncludes(
  tree: unknown,
  configPath: string,
  spent: { readonly bytes: number; readonly nodes: number } = { bytes: 0, nodes: 0 },
  pauses: Pauses = new Pauses(),
): Promise<Result<{ readonly value: unknown; readonly files: readonly string[] }, IncludeFlaw>> {
  if (!mentionsInclude(tree)) return ok({ value: tree, files: [] });
  const roots = [realOf(path.dirname(configPath)), path.dirname(realOf(configPath))];
  const files: string[] = [];
  let { bytes, nodes } = spent;

  const fail = (keys: KeyPath, message: string): never => {
    throw new IncludeError({ path: formatPath(keys), message });
  };

  const readOne = async (name: unknown, from: string, chain: readonly string[], keys: KeyPath): Promise<unknown> => {
    if (typeof name !== 'string' || name.trim() === '' || name.includes('\0'))
      return fail(keys, '$include takes a file name, or a list of them');
    if (chain.length > INCLUDE_LIMITS.depth) return fail(keys, `$include is nested deeper than ${INCLUDE_LIMITS.depth} files`);
    if (files.length >= INCLUDE_LIMITS.files) return fail(keys, `$include reads more than ${INCLUDE_LIMITS.files} files`);
    const foreign = foreignPath(name);
    if (foreign !== undefined) return fail(keys, `$include "${name}" ${foreign.message}`);
    const wanted = path.resolve(path.dirname(from), name);
    let real: string;
    try {
      real = fs.realpathSync(wanted);
    } catch {
      return fail(keys, `$include "${name}": ${wanted} does not exist or cannot be reached`);
    }
    if (!roots.some((root) => isInside(real, root)))
      return fail(keys, `$include "${name}" leaves the directory of the config (it is ${real})`);
    if (chain.includes(real))
      return fail(keys, `$include "${name}" includes itself: ${[...chain, real].map((f) => path.basename(f)).join(' → ')}`);
    // The real path has no symlink; one that appears after the check is refused here.
    const file = readTextFile(real, INCLUDE_LIMITS.bytes, { nofollow: true });
    if (!file.ok) return fail(keys, `$include "${name}" ${file.error.message}`);
    files.push(real);
    bytes += file.value.text.length;
    nodes += countNodes(file.value.text);
    if (bytes > INCLUDE_LIMITS.bytesInAll)
      return fail(keys, `$include "${name}" makes more than ${INCLUDE_LIMITS.bytesInAll} characters of all files together`);
    if (nodes > MAX_CONFIG_NODES)
      return fail(keys, `$include "${name}" makes more than ${MAX_CONFIG_NODES} keys, values and comments of all files together`);
    await pauses.here();
    const parsed = await parseJson5(file.value.text, pauses);
    if (!parsed.ok)
      return fail(keys, `$include "${name}" line ${parsed.error.line}, column ${parsed.error.column}: ${parsed.error.message}`);
    const flaw = treeFlaw(parsed.value);
    if (flaw !== undefined) return fail(keys, `$include "${name}": ${flaw.path || 'the file'} ${flaw.message}`);
    return expand(parsed.value, real, [...chain, real], keys);
  };

  const expand = async (value: unknown, from: string, chain: readonly string[], keys: KeyPath): Promise<unknown> => {
    if (Array.isArray(value)) {
      const items: unknown[] = [];
      for (const [i, item] of value.entries()) items.push(await expand(item, from, chain, [...keys, i]));
      return items;
    }
    if (!isRecord(value)) return value;
    const own: Record<string, unknown> = {};
    for (const [key, item] of Object.entries(value)) if (key !== '$include') own[key] = await expand(item, from, chain, [...keys, key]);
    if (!Object.hasOwn(value, '$include')) return own;
    const names: unknown = value['$include'];
    let included: unknown;
    for (const [i, name] of (Array.isArray(names) ? names : [names]).entries()) {
      const next = await readOne(name, from, chain, keys);
      included = i === 0 ? next : merge(included, next);
      await pauses.here();
    }
    if (Object.keys(own).length === 0) return included ?? {};
    if (!isRecord(included)) return fail(keys, 'keys beside $include need an included object');
    return merge(included, own);
  };

  try {
    const value = await expand(tree, configPath, [realOf(configPath)], []);
    const flaw = treeFlaw(value);
    return flaw === undefined ? ok({ value, files }) : err(flaw);
  } catch (thrown) {
    if (thrown instanceof IncludeError) return err(thrown.flaw);
    throw thrown;
  }
}

// Thrown and caught within this file only: it unwinds a recursion.
class IncludeError extends Error {
  readonly flaw: IncludeFlaw;
  constructor(flaw: IncludeFlaw) {
    super(flaw.message);
    this.flaw = flaw;
  }
}

function merge(a: unknown, b: unknown): unknown {
  if (Array.isArray(a) && Array.isArray(b)) return [...a, ...b];
  if (!isRecord(a) || !isRecord(b)) return b;
  const merged: Record<string, unknown> = { ...a };
  for (const [key, value] of Object.entries(b)) merged[key] = Object.hasOwn(a, key) ? merge(a[key], value) : value;
  return merged;
}

function mentionsInclude(tree: unknown): boolean {
  if (Array.isArray(tree)) return tree.some(mentionsInclude);
  return isRecord(tree) && (Object.hasOwn(tree, '$include') || Object.values(tree).some(mentionsInclude));
}

function realOf(file: string): string {
  try {
    return fs.realpathSync(file);
  } catch {
    return path.resolve(file);
  }
}

function isInside(file: string, root: string): boolean {
  const relative = path.relative(root, file);
  return relative !== '' && !relative.startsWith('..') && !path.isAbsolute(relative);
}
