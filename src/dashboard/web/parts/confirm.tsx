import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Failure } from './notice.js';

interface ConfirmProps {
  readonly title: string;
  readonly children: ComponentChildren;
  /** What the button says; without it there is nothing to confirm. */
  readonly verb: string | null;
  readonly isDangerous?: boolean;
  onConfirm(): Promise<void>;
  onClose(): void;
}

/** Asks before something is done to many. */
export function Confirm({ title, children, verb, isDangerous, onConfirm, onClose }: ConfirmProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<Error | null>(null);
  useEffect(() => dialog.current?.showModal(), []);
  const confirm = async () => {
    setBusy(true);
    setError(null);
    await onConfirm().catch(setError);
    setBusy(false);
  };
  return (
    <dialog ref={dialog} onClose={onClose} aria-labelledby="confirm-title">
      <h2 id="confirm-title">{title}</h2>
      {children}
      {error && <Failure error={error} />}
      <div class="actions end">
        <button type="button" onClick={() => dialog.current?.close()}>
          {verb ? 'Leave it' : 'Close'}
        </button>
        {verb && (
          <button
            type="button"
            class={isDangerous ? 'danger' : 'primary'}
            disabled={isBusy}
            onClick={confirm}
          >
            {verb}
          </button>
        )}
      </div>
    </dialog>
  );
}
