import { type Preset, shortAnswer } from './preset.js';

/**
 * ActivityNet-QA (Yu et al., 2019). The authors publish questions and answers in two arrays, `test_q.json` and `test_a.json`:
 *
 *     {"video_name": "1QIUV7WYKXg", "question": "is the athlete wearing trousers", "question_id": "v_1QIUV7WYKXg_1"}
 *     {"answer": "yes", "type": 3, "question_id": "v_1QIUV7WYKXg_1"}
 *
 * joined by `question_id`, as the copies in Parquet on the hub have them, they are rows. The videos are ActivityNet's,
 * `v_1QIUV7WYKXg.mp4`. `type` is 0 motion, 1 spatial, 2 temporal, 3 yes or no, 4 colour, 5 object, 6 location, 7 number, 8 other.
 * Questions are asked with a capital letter and a question mark, as lmms-eval asks them.
 */
export const activityNetQa: Preset = {
  columns: {
    video: 'video_name',
    question: 'question',
    answer: 'answer',
    category: 'type',
    id: 'question_id',
  },
  videoName: (name) => (name.startsWith('v_') ? name : `v_${name}`),
  wording: {
    question: (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith('?') ? '' : '?'}`,
    behind: shortAnswer,
  },
};
