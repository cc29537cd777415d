import { type Preset, shortAnswer } from './preset.js';

/**
 * MSRVTT-QA (Xu et al., 2017): `train_qa.json`, `val_qa.json` and `test_qa.json` are arrays of
 *
 *     {"answer": "couch", "category_id": 14, "id": 158581, "question": "what are three people sitting on?", "video_id": 6513}
 *
 * The clips are those of MSR-VTT, `video6513.mp4`. `category_id` is MSR-VTT's category of the video, 0 to 19 (from memory).
 */
export const msrvttQa: Preset = {
  columns: { video: 'video_id', question: 'question', answer: 'answer', category: 'category_id', id: 'id' },
  videoName: (id) => `video${id}`,
  wording: { behind: shortAnswer },
};
