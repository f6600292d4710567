import type { Reader } from './env.ts';

/** One line typed on a terminal that does not show it: a secret. Undefined when it was given up (Ctrl-C, Ctrl-D). */
export function readUnseen(stdin: Reader): Promise<string | undefined> {
  return new Promise((resolve) => {
    let typed = '';
    const cancel = stdin.keys((keys) => {
      // The marks that terminals put around a paste.
      for (const char of keys.replace(/\u001b\[20[01]~/g, '')) {
        if (char === '\r' || char === '\n') return done(typed);
        if (char === '\u0003' || char === '\u0004') return done(undefined);
        if (char === '\u007f' || char === '\b') typed = [...typed].slice(0, -1).join('');
        else if (char === '\u0015') typed = '';
        else if (char >= ' ') typed += char;
      }
    });
    function done(value: string | undefined): void {
      cancel();
      resolve(value);
    }
  });
}
