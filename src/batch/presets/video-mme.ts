import type { Preset } from './preset.js';

/**
 * Video-MME (Fu et al., 2024): `videomme/test-00000-of-00001.parquet` on the hub has a row a question:
 *
 *     {"video_id": "001", "duration": "short", "domain": "Knowledge", "sub_category": "Humanity & History", "url": "https://…",
 *      "videoID": "fFjv93ACGo8", "question_id": "001-1", "task_type": "Counting Problem", "question": "When …?",
 *      "options": ["A. Apples.", "B. Candles.", "C. Berries.", "D. The three kinds are of the same number."], "answer": "C"}
 *
 * The videos are `data/fFjv93ACGo8.mp4` in its archives. The category is `duration`, by which the benchmark reports (`short`, `medium`, `long`);
 * --map category=task_type chooses another.
 */
export const videoMme: Preset = {
  columns: {
    video: 'videoID',
    question: 'question',
    options: 'options',
    answer: 'answer',
    category: 'duration',
    id: 'question_id',
  },
  answerIs: 'letter',
  wording: {
    before:
      'Select the best answer to the following multiple-choice question based on the video. Respond with only the letter (A, B, C, or D) of the correct option.',
    behind: 'The best answer is:',
  },
};
