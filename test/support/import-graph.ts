import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parseSync } from 'rolldown/utils';

/** One import of one file. */
export interface Edge {
  /** Path of the importing file, from the root of the repository, with `/`. */
  readonly from: string;
  /** The same for a file of ours, or the specifier of a package or of a built-in module (`ws`, `node:fs`). */
  readonly to: string;
  /** Erased before it runs: `import type`, `typeof import(…)`. */
  readonly typeOnly: boolean;
}

/** The product's own files under `dir`, tests excepted: path from `root` → text. */
export function sourceFiles(root: string, dir: string): Map<string, string> {
  const files = new Map<string, string>();
  for (const entry of readdirSync(path.join(root, dir), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !/\.tsx?$/.test(entry.name) || entry.name.endsWith('.test.ts')) continue;
    const full = path.join(entry.parentPath, entry.name);
    files.set(path.relative(root, full).replaceAll(path.sep, '/'), readFileSync(full, 'utf8'));
  }
  return files;
}

/** Every import of `files`. Throws on a file that does not parse. */
export function importGraph(files: ReadonlyMap<string, string>): Edge[] {
  return [...files].flatMap(([file, text]) => importsOf(file, text));
}

function importsOf(file: string, text: string): Edge[] {
  const { module, errors } = parseSync(file, text);
  if (errors[0] !== undefined) throw new Error(`${file}: ${errors[0].message}`);
  const found: Omit<Edge, 'from'>[] = [];
  for (const statement of module.staticImports) {
    const { entries, moduleRequest } = statement;
    found.push({ to: moduleRequest.value, typeOnly: entries.length > 0 && entries.every((entry) => entry.isType) });
  }
  for (const entry of module.staticExports.flatMap((statement) => statement.entries)) {
    if (entry.moduleRequest !== null) found.push({ to: entry.moduleRequest.value, typeOnly: entry.isType });
  }
  const lazy = new Set(
    module.dynamicImports.map((statement) => text.slice(statement.moduleRequest.start + 1, statement.moduleRequest.end - 1)),
  );
  for (const [, specifier] of text.matchAll(/\bimport\(\s*['"]([^'"]+)['"]/g)) {
    if (specifier !== undefined) found.push({ to: specifier, typeOnly: !lazy.has(specifier) });
  }
  for (const [, specifier] of text.matchAll(/\b(?:getBuiltinModule|require)\(\s*['"]([^'"]+)['"]/g)) {
    if (specifier !== undefined) found.push({ to: specifier, typeOnly: false });
  }
  return found.map((edge) => ({
    ...edge,
    from: file,
    to: edge.to.startsWith('.') ? path.posix.join(path.posix.dirname(file), edge.to) : edge.to,
  }));
}

/** Import cycles among our own files, at least one of every knot, each as the list of its files. Type-only imports count: they tie files together just the same. */
export function cycles(edges: readonly Edge[]): string[][] {
  const next = new Map<string, string[]>();
  for (const { from, to } of edges) next.set(from, [...(next.get(from) ?? []), to]);
  const found: string[][] = [];
  const done = new Set<string>();
  const trail: string[] = [];
  const visit = (file: string): void => {
    const at = trail.indexOf(file);
    if (at !== -1) found.push([...trail.slice(at), file]);
    if (at !== -1 || done.has(file)) return;
    trail.push(file);
    for (const to of next.get(file) ?? []) visit(to);
    trail.pop();
    done.add(file);
  };
  for (const file of next.keys()) visit(file);
  return found;
}
