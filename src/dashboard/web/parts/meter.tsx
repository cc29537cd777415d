/** A part of a whole as a bar, with what it says in words. */
export function Meter({ share, label, tone = 'busy' }: { share: number; label: string; tone?: string }) {
  const percent = Math.max(0, Math.min(1, share)) * 100;
  return (
    <div
      class={`meter tone-${tone}`}
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.round(percent)}
    >
      <span style={{ width: `${percent}%` }} />
    </div>
  );
}
