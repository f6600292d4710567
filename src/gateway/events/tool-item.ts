const COMMAND_TOOLS: ReadonlySet<string> = new Set(['exec', 'process']);

/** Whether a tool runs commands: clients show those with their own line. */
export const isCommandTool = (name: string): boolean => COMMAND_TOOLS.has(name);
