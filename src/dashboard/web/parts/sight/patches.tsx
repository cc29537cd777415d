import { useMemo } from 'preact/hooks';
import type { SightFrame } from '../../../../../queues/sight.js';
import { cellsPath, fatesOf, outlinePath, patchAt, tokenByPatch, tokensOf } from '../../geometry.js';

interface PatchesProps {
  readonly frame: SightFrame;
  /** The token that is looked at, by its place in `tokensOf`; its patches are shown together. */
  readonly token?: number | null;
  /** Called with the token under the pointer. */
  onToken?(token: number | null): void;
}

/** Drawn over a frame's picture: what was kept stands out, what was merged or left out is dimmed. */
export function Patches({ frame, token = null, onToken }: PatchesProps) {
  const { grid } = frame;
  const drawn = useMemo(() => pathsOf(frame), [frame]);
  const owners = useMemo(() => (onToken ? tokenByPatch(frame) : null), [frame, onToken !== undefined]);
  const follow = (event: PointerEvent) => {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    const patch = patchAt(
      grid,
      (event.clientX - box.left) / box.width,
      (event.clientY - box.top) / box.height,
    );
    const owner = patch === null ? -1 : owners![patch]!;
    onToken!(owner < 0 ? null : owner);
  };
  return (
    <svg
      class="patches"
      viewBox={`0 0 ${grid.columns} ${grid.rows}`}
      preserveAspectRatio="none"
      aria-hidden="true"
      onPointerMove={onToken && follow}
      onPointerDown={onToken && follow}
      onPointerLeave={onToken && (() => onToken(null))}
    >
      <path class="patch-dropped" d={drawn.dropped} />
      <path class="patch-merged" d={drawn.merged} />
      <path class="patch-static" d={drawn.static} />
      <path class="patch-kept" d={drawn.kept} vector-effect="non-scaling-stroke" />
      {token !== null && <Together frame={frame} token={token} />}
    </svg>
  );
}

function pathsOf(frame: SightFrame) {
  const fates = fatesOf(frame);
  const of = (fate: string) => fates.flatMap((each, patch) => (each === fate ? [patch] : []));
  const cells = (fate: string) => cellsPath(frame.grid, of(fate));
  return {
    dropped: cells('dropped'),
    merged: cells('merged'),
    static: cells('static'),
    kept: outlinePath(frame.grid, of('dominant')),
  };
}

/** All patches of a token, and the one that the others were merged into. */
function Together({ frame, token }: { readonly frame: SightFrame; readonly token: number }) {
  const chosen = tokensOf(frame)[token];
  if (!chosen) return null;
  const [target] = chosen.patches;
  return (
    <g>
      <path class="patch-together" d={cellsPath(frame.grid, chosen.patches)} />
      <path
        class="patch-edge"
        d={outlinePath(frame.grid, chosen.patches)}
        vector-effect="non-scaling-stroke"
      />
      {target !== undefined && (
        <path class="patch-target" d={outlinePath(frame.grid, [target])} vector-effect="non-scaling-stroke" />
      )}
    </g>
  );
}
