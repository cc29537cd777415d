import { useState } from 'preact/hooks';
import { Icon } from './icon.js';

/** A command line that can be taken along. */
export function Command({ title, command }: { readonly title: string; readonly command: string }) {
  const [isCopied, setCopied] = useState(false);
  const copy = async () => {
    await copyText(command);
    setCopied(true);
    setTimeout(() => setCopied(false), 2000);
  };
  return (
    <div class="command">
      <span class="command-title">{title}</span>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what does not fit is scrolled with the keyboard, too */}
      <code tabIndex={0}>{command}</code>
      <button type="button" class="quiet" onClick={copy} aria-label={`Copy the command line: ${title}`}>
        <Icon name={isCopied ? 'completed' : 'copy'} />
        <span aria-live="polite">{isCopied ? 'Copied' : 'Copy'}</span>
      </button>
    </div>
  );
}

/** The clipboard's own interface is there on loopback and HTTPS alone. */
async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement('textarea');
  area.value = text;
  area.className = 'unseen';
  document.body.append(area);
  area.select();
  document.execCommand('copy');
  area.remove();
}

/** Command lines of a page, out of the way until they are wanted. */
export function Commands({ of }: { readonly of: readonly { title: string; command: string }[] }) {
  if (of.length === 0) return null;
  return (
    <details class="commands">
      <summary>On the command line</summary>
      {of.map(({ title, command }) => (
        <Command key={title} title={title} command={command} />
      ))}
    </details>
  );
}
