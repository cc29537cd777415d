/** Frames that go through the tower together; also how many are decoded ahead of it. */
export const framesAtOnce = 4;
