import { loadModel } from '../../src/models/load.js';
import { answerVideo } from '../../src/pipeline/answer.js';

// Prints the peak resident memory, in KiB, of answering one question: MODEL_DIR CLIP FRAMES.
const [modelDir = '', video = '', frames = ''] = process.argv.slice(2);
const model = await loadModel(modelDir);
await answerVideo(model, {
  video,
  questions: ['How many objects are there?'],
  sampling: { frames: Number(frames) },
});
console.log(process.resourceUsage().maxRSS);
