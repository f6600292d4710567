/** A set of environment variables. Everything that depends on one takes it as an argument. */
export type Env = Readonly<Record<string, string | undefined>>;

/** The environment of this process. The one place of the product that reads it: everybody else is handed an `Env`. */
export const processEnv = (): Env => process.env;

/** A variable that is set to something other than white space, trimmed. */
export function envText(env: Env, name: string): string | undefined {
  const value = env[name]?.trim();
  return value === undefined || value === '' ? undefined : value;
}
