/**
 * Makes a frame whole of the field that is shown first: the lines of the other field, which were taken at another moment,
 * are made anew from their neighbours. No frame before or after is needed, so it may come from anywhere in the video.
 *
 * @param rgb (height, width, 3), row-major; changed in place.
 * @param first which field that is: lines 0, 2, … are the top field's.
 */
export function deinterlace(rgb: Uint8Array, width: number, height: number, first: 'top' | 'bottom'): void {
  const stride = width * 3;
  for (let y = first === 'top' ? 1 : 0; y < height; y += 2) {
    const above = (y > 0 ? y - 1 : y + 1) * stride;
    const below = (y + 1 < height ? y + 1 : y - 1) * stride;
    // A frame of one line has no other field.
    if (above < 0 || above >= rgb.length || below < 0 || below >= rgb.length) return;
    for (let x = 0; x < stride; x++) rgb[y * stride + x] = (rgb[above + x]! + rgb[below + x]! + 1) >> 1;
  }
}
