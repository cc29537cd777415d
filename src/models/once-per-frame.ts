import type { Frame } from '../media/types.js';

/**
 * What is made of a frame in one way is made once, for as long as the frame is there: who shows it and who prepares it need the same
 * pixels.
 */
export function oncePerFrame<How extends readonly number[], T>(
  make: (frame: Frame, ...how: How) => Promise<T>,
): (frame: Frame, ...how: How) => Promise<T> {
  const made = new WeakMap<Frame, Map<string, Promise<T>>>();
  return (frame, ...how) => {
    const own = made.get(frame) ?? new Map<string, Promise<T>>();
    made.set(frame, own);
    const key = how.join();
    const result = own.get(key) ?? make(frame, ...how);
    own.set(key, result);
    return result;
  };
}
