import { clip } from '../text.ts';
import type { Workspace } from '../tools/confine.ts';
import { textOf } from '../tools/file-text.ts';
import { clipTokens, estimateTokens } from './tokens.ts';

/** Files that an owner writes for the agent, in the order in which they are read. */
export const WORKSPACE_FILES = ['AGENTS.md', 'SOUL.md', 'TOOLS.md', 'IDENTITY.md', 'USER.md', 'MEMORY.md'] as const;
/** UTF-16 units. */
export const MAX_FILE_CHARS = 20_000;
export const MAX_TOTAL_CHARS = 150_000;

export interface WorkspaceFile {
  readonly name: string;
  readonly text: string;
}

/** What there is of them. A file that is missing, empty, no text, a link or a second name of another file is left out. */
export async function readWorkspaceFiles(workspace: Workspace): Promise<readonly WorkspaceFile[]> {
  // All at once: each is a trip to another thread, and mostly finds nothing.
  const reads = await Promise.all(
    WORKSPACE_FILES.map(async (name) => ({ name, read: await workspace.read(name, (file) => textOf(file, MAX_FILE_CHARS * 4)) })),
  );
  const files: WorkspaceFile[] = [];
  let total = 0;
  for (const { name, read } of reads) {
    if (!read.ok || !read.value.ok) continue;
    const text = clip(read.value.value.text.trim(), Math.min(MAX_FILE_CHARS, MAX_TOTAL_CHARS - total));
    if (text === '') continue;
    total += text.length;
    files.push({ name, text });
  }
  return files;
}

const CUT = '\n[the rest did not fit]';

/**
 * Cuts files to a budget of tokens, the long ones first: a file that needs less than its even share leaves the rest to
 * the others. Below about a sentence each, a file is left out.
 */
export function fitFiles(files: readonly WorkspaceFile[], budget: number): readonly WorkspaceFile[] {
  const sized = files.map((file) => ({ file, tokens: estimateTokens(file.text) })).sort((a, b) => a.tokens - b.tokens);
  const share = new Map<string, number>();
  let rest = budget;
  for (const [index, { file, tokens }] of sized.entries()) {
    const even = rest / (sized.length - index);
    const given = Math.min(tokens, even);
    share.set(file.name, given);
    rest -= given;
  }
  return files.flatMap((file) => {
    const tokens = Math.floor(share.get(file.name) ?? 0);
    if (estimateTokens(file.text) <= tokens + 1) return [file];
    if (tokens < 24) return [];
    return [{ name: file.name, text: clipTokens(file.text, tokens - 8) + CUT }];
  });
}
