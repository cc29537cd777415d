/** What whoever asks the shipped model about real video should know. */
export const shippedModelNotice =
  'nano, the model that comes with the package, knows coloured shapes on textured backgrounds and nothing else; for real video: ' +
  'visionzip model pull llava-hf/llava-onevision-qwen2-0.5b-ov-hf';

/** Says so once, on standard error. */
export function tellOfShippedModel({ isShipped }: { readonly isShipped: boolean }): void {
  if (isShipped) process.stderr.write(`visionzip: ${shippedModelNotice}\n`);
}
