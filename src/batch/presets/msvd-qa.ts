import { type Preset, shortAnswer } from './preset.js';

/**
 * MSVD-QA (Xu et al., 2017): `train_qa.json`, `val_qa.json` and `test_qa.json` are arrays of
 *
 *     {"answer": "someone", "id": 0, "question": "who is peeling a potato?", "video_id": 1451}
 *
 * The clips are those of MSVD, `-4wsuPCjDBc_5_15.avi`; `youtube_mapping.txt` of the data set says which one is `vid1451`. The authors' own
 * code reads them as `vid1451.avi`, by the number of `video_id`, and so they are looked for.
 */
export const msvdQa: Preset = {
  columns: { video: 'video_id', question: 'question', answer: 'answer', id: 'id' },
  videoName: (id) => `vid${id}`,
  wording: { behind: shortAnswer },
};
