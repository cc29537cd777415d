import type { Moment } from './moments.js';

/** A frame as the model was given it. */
export function Picture({ moment, alt }: { readonly moment: Moment; readonly alt: string }) {
  const { picture, sameAs, frame } = moment;
  if (picture === null)
    return (
      <span class="no-picture" role="img" aria-label={alt}>
        {frame === null && 'no picture kept'}
      </span>
    );
  return (
    <img class={sameAs ? 'again' : ''} src={`data:image/webp;base64,${picture}`} alt={alt} decoding="async" />
  );
}
