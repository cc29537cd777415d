import { type Preset, videoChat2 } from './preset.js';

/**
 * MLVU (Zhou et al., 2024), multiple choice: files `json/1_plotQA.json` to `json/7_topic_reasoning.json` (`data` in the authors' repository),
 * arrays of
 *
 *     {"video": "movie101_66.mp4", "duration": 246, "question": "What color is …?",
 *      "candidates": ["Yellow", "Red", "Green", "Blue"], "answer": "Yellow", "question_type": "plotQA"}
 *
 * The videos of each task lie in a folder of their own, `video/1_plotQA`. The category is `question_type`: `plotQA`, `findNeedle`, `ego`, `count`,
 * `order`, `anomaly_reco`, `topic_reasoning`. The open questions, `8_sub_scene.json` (`subPlot`) and `9_summary.json` (`summary`), have no
 * candidates and are read as well. Copies in Parquet have `video_name`, `task_type`, the options inside of the question, and a letter as the
 * answer: they are asked as open questions.
 */
export const mlvu: Preset = {
  columns: {
    video: ['video', 'video_name'],
    question: 'question',
    options: 'candidates',
    answer: 'answer',
    category: ['question_type', 'task_type'],
  },
  answerIs: 'text',
  wording: {
    ...videoChat2,
    before:
      'Carefully watch this video and pay attention to every detail. Based on your observations, select the best option that accurately addresses the question.',
  },
};
