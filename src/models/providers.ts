/** What computes: the processor, or an accelerator for which ONNX Runtime's part is installed. */
export const providers = ['cpu', 'cuda', 'webgpu', 'coreml', 'dml'] as const;

export type Provider = (typeof providers)[number];
