import type { AskJob, AskJobInput } from '../../queues/schemas.js';
import type { Question } from '../pipeline/types.js';

/** The settings of a job: everything but its video and its questions. */
export type JobSettings = Omit<AskJobInput, 'video' | 'questions'>;

/** Makes a whole job. Throws an error in the words of whoever chose the settings where the contract has something against it. */
export type BuildJob = (video: string, questions: Question[], settings: JobSettings) => AskJob;
