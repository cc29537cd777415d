import type { Preset } from './preset.js';

/**
 * MLVU (Zhou et al., 2024), multiple choice: files `json/1_plotQA.json` to `json/7_topic_reasoning.json`, arrays of
 *
 *     {"video": "movie101_66.mp4", "duration": 480, "question": "What colour is the main male character's coat?",
 *      "candidates": ["Yellow", "Red", "Blue", "Green"], "answer": "Yellow", "question_type": "plotQA"}
 *
 * The videos of each task lie in a folder of their own, `video/1_plotQA` (from memory). The category is `question_type`. The open questions,
 * `8_sub_scene.json` and `9_summary.json`, have no candidates and are read as well.
 */
export const mlvu: Preset = {
  title: 'MLVU',
  columns: {
    video: ['video', 'video_name'],
    question: 'question',
    options: 'candidates',
    answer: 'answer',
    category: 'question_type',
  },
  answerIs: 'text',
  wording: {
    option: (letter, text) => `(${letter}) ${text}`,
    behind: 'Only give the best option.',
  },
};
