import { Command } from '../copy.js';
import { Empty } from '../notice.js';

/** Of a queue in which nothing has happened yet. */
export function FirstSteps() {
  return (
    <Empty title="Nothing has been asked yet">
      <p>Start a worker, and ask a question about a video. Both show up here by themselves.</p>
      <Command title="1. Start a worker" command="visionzip worker" />
      <Command
        title="2. Ask"
        command={'visionzip enqueue clips/clip-000.mp4 "Which way is the triangle moving?"'}
      />
      <Command
        title="Or answer a file of questions"
        command="visionzip batch questions.jsonl --out answers.jsonl"
      />
    </Empty>
  );
}
