import type { Result } from '../../../../../queues/schemas.js';
import { formatDuration, formatShare, plural } from '../../format.js';
import { likelihoodOf } from '../../words.js';
import { Icon } from '../icon.js';
import { Meter } from '../meter.js';

type Answer = Result['answers'][number];

export function Answers({ result }: { readonly result: Result }) {
  return (
    <section class="card">
      <h2>{result.answers.length === 1 ? 'Answer' : plural(result.answers.length, 'answer')}</h2>
      <ol class="answers">
        {result.answers.map((answer, i) => (
          <li key={i}>
            <p class="question">{answer.question}</p>
            <AnswerText answer={answer} />
            <p class="soft small">{costText(answer)}</p>
          </li>
        ))}
      </ol>
    </section>
  );
}

export function AnswerText({ answer }: { readonly answer: Answer }) {
  if (answer.options) return <Options answer={answer} />;
  return (
    <p class="answer">
      {answer.answer === '' ? <em>nothing</em> : answer.answer}
      <Likelihood answer={answer} />
    </p>
  );
}

function Likelihood({ answer }: { readonly answer: Answer }) {
  const likelihood = likelihoodOf(answer);
  if (likelihood === null) return null;
  const title = answer.options ? 'among the options' : 'a token, on average, as the model held it';
  return (
    <span class="soft" title={title}>
      {' '}
      {formatShare(likelihood)} likely
    </span>
  );
}

function Options({ answer }: { readonly answer: Answer }) {
  const { options = [], choice } = answer;
  return (
    <>
      <p class="answer">
        {answer.answer}
        {choice && `. ${options[choice.index] ?? ''}`}
        <Likelihood answer={answer} />
      </p>
      <ul class="options">
        {options.map((option, i) => (
          <li key={i} class={i === choice?.index ? 'chosen' : ''}>
            <span>
              {i === choice?.index && <Icon name="completed" />}
              {String.fromCharCode(65 + i)}. {option}
            </span>
            <Meter
              share={choice?.likelihoods[i] ?? 0}
              label={`likelihood of ${option}`}
              tone={i === choice?.index ? 'busy' : 'idle'}
            />
            <span class="num">{formatShare(choice?.likelihoods[i] ?? 0)}</span>
          </li>
        ))}
      </ul>
    </>
  );
}

function costText({
  cached,
  finishReason,
  newTokens,
  promptTokens,
  prefillMs,
  generateMs,
  turnsDropped,
}: Answer): string {
  const notes = [
    `${plural(promptTokens, 'token')} of prompt`,
    plural(newTokens, 'new token'),
    cached
      ? 'stored before'
      : `prefill ${formatDuration(prefillMs)}, generation ${formatDuration(generateMs)}`,
    finishReason === 'length' && 'cut off at the allowed length',
    turnsDropped && `${plural(turnsDropped, 'earlier turn')} had no room`,
  ];
  return notes.filter(Boolean).join(' · ');
}
