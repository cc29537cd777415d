import { letterAlone } from '../../pipeline/questions.js';
import type { Preset } from './preset.js';

/**
 * LongVideoBench (Wu et al., 2024): `lvb_val.json` is an array of
 *
 *     {"video_id": "86CxyhFV9MI", "question": "In the video, which subtitles appear …?", "candidates": ["promisc has come to an end", …],
 *      "correct_choice": 1, "topic_category": "NP-News-Programs", "question_category": "TOS", "level": "L2-Relation",
 *      "id": "86CxyhFV9MI_0", "video_path": "86CxyhFV9MI.mp4", "duration_group": 600, "duration": 190.16, …}
 *
 * `lvb_test_wo_gt.json` has no `correct_choice`. `validation-00000-of-00001.parquet` has `option0` to `option4` instead of `candidates`, the last
 * of them `N/A` where there are fewer. The videos lie in `videos`. The category is `duration_group`, in seconds (15, 60, 600 or 3600);
 * --map category=question_category chooses another. Subtitles are not read.
 */
export const longVideoBench: Preset = {
  columns: {
    video: ['video_path', 'video_id'],
    question: 'question',
    options: ['option0', 'option1', 'option2', 'option3', 'option4', 'candidates'],
    answer: 'correct_choice',
    category: 'duration_group',
    id: 'id',
  },
  noOption: 'N/A',
  answerIs: 'index',
  wording: { behind: letterAlone },
};
