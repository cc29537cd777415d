import { letterAlone } from '../../pipeline/questions.js';
import type { Preset } from './preset.js';

/**
 * EgoSchema (Mangalam et al., 2023): `questions.json` is an array of
 *
 *     {"q_uid": "0074f737-…", "google_drive_id": "1Wq…", "question": "Taking into account …", "option 0": "C is cooking.", …, "option 4": "…"}
 *
 * and `subset_answers.json` one object from `q_uid` to the number of the right option, from 0, for 500 of them. The copies in Parquet on the
 * hub have `video_idx`, `option` as a list, and `answer`. Both are read; the videos are `0074f737-….mp4`. There are no categories.
 */
export const egoSchema: Preset = {
  columns: {
    video: ['q_uid', 'video_idx'],
    question: 'question',
    options: ['option 0', 'option 1', 'option 2', 'option 3', 'option 4', 'option'],
    answer: 'answer',
  },
  answerIs: 'index',
  wording: { behind: letterAlone },
};
