/** Answers questions about a video in this process, without a queue: node ask.js VIDEO QUESTION... */
import { answerVideo, loadModel, shippedModel } from 'visionzip-worker/pipeline';

const [video, ...questions] = process.argv.slice(2);
if (!video || questions.length === 0) throw new Error('expected a video and at least one question');

const model = await loadModel(shippedModel);
const outcome = await answerVideo(model, { video, questions });
for (const { question, answer } of outcome.answers) console.log(`${question} ${answer}`);
for (const { message } of outcome.video.warnings) console.error(`note: ${message}`);
console.error(`${outcome.tokens.before} tokens became ${outcome.tokens.after}`);
