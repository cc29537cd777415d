/**
 * Sends updates one at a time; those that come while one is under way replace each other, so that a slow
 * receiver gets the latest and never a backlog.
 */
export function latestOnly<T>(send: (update: T) => Promise<unknown>) {
  let next: { readonly update: T } | null = null;
  let sending: Promise<void> | null = null;

  const drain = async () => {
    while (next) {
      const { update } = next;
      next = null;
      await send(update).catch(() => {}); // An update that got lost is no fault of the job.
    }
    sending = null;
  };

  return {
    send: (update: T): void => {
      next = { update };
      sending ??= drain();
    },
    /** Resolves once nothing is under way. */
    idle: async (): Promise<void> => {
      await sending;
    },
  };
}
