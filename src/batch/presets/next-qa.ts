import { letterAlone } from '../../pipeline/questions.js';
import type { Preset } from './preset.js';

/**
 * NExT-QA (Xiao et al., 2021), multiple choice: `train.csv`, `val.csv` and `test.csv` begin
 *
 *     video,frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4
 *
 * with `answer` as the number of the right option from 0, and `type` one of CW, CH (why, how), TN, TC, TP (next, current, previous), DC, DL, DO
 * (count, location, other); the authors count TP among TN. `qid` numbers the questions of one video alone. The videos are VidOR's, `1164/3238737531.mp4`; where they lie in
 * such folders, they are found below --videos by the number of the video.
 */
export const nextQa: Preset = {
  columns: {
    video: 'video',
    question: 'question',
    options: ['a0', 'a1', 'a2', 'a3', 'a4'],
    answer: 'answer',
    category: 'type',
  },
  answerIs: 'index',
  wording: { behind: letterAlone },
};
