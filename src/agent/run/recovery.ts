import type { RunError, TranscriptEntry } from '../api.ts';
import { crypto } from '../builtins.ts';
import type { NewEntry } from '../ports.ts';
import { NO_USAGE } from '../providers/model-stream.ts';

export const INTERRUPTED: RunError = {
  kind: 'interrupted',
  message: 'The gateway stopped in the middle of this answer.',
  fix: 'Send the message again.',
};

/** What the transcript of a run that was cut still needs: a result for every call, and the text that had been shown. */
export function recoveryEntries(entries: readonly TranscriptEntry[], journal: string, at: number): readonly NewEntry[] {
  const answered = new Set(entries.map(({ message }) => (message.role === 'toolResult' ? message.toolCallId : '')));
  const missing: NewEntry[] = entries.flatMap(({ message }) =>
    message.role !== 'assistant'
      ? []
      : message.content.flatMap((part): NewEntry[] =>
          part.type !== 'toolCall' || answered.has(part.id)
            ? []
            : [
                {
                  id: crypto().randomUUID(),
                  at,
                  message: {
                    role: 'toolResult',
                    toolCallId: part.id,
                    toolName: part.name,
                    text: 'The gateway stopped while this was done. It may have taken effect.',
                    isError: true,
                  },
                },
              ],
        ),
  );
  return [
    ...missing,
    {
      id: crypto().randomUUID(),
      at,
      message: {
        role: 'assistant',
        content: journal === '' ? [] : [{ type: 'text', text: journal }],
        provider: 'none',
        model: 'none',
        api: 'none',
        usage: NO_USAGE,
        stopReason: 'interrupted',
        errorMessage: INTERRUPTED.message,
      },
    },
  ];
}
