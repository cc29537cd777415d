/** Drawn with lines in a square of 16. */
const shapes = {
  waiting: 'M8 2a6 6 0 1 0 .01 0M8 4.5V8l2.5 1.8',
  delayed: 'M4.5 2h7M4.5 14h7M5.5 2v2.5L8 8l2.5-3.5V2M5.5 14v-2.5L8 8l2.5 3.5V14',
  active: 'M5 3.2v9.6L13 8z',
  completed: 'M2.5 8.5l3.5 3.5 7.5-8',
  failed: 'M3.5 3.5l9 9M12.5 3.5l-9 9',
  cancelled: 'M8 2a6 6 0 1 0 .01 0M3.8 3.8l8.4 8.4',
  paused: 'M5.5 3v10M10.5 3v10',
  warn: 'M8 2.2L14.5 13.5h-13zM8 6.5v3.2M8 11.6v.2',
  unknown: 'M5.8 6a2.3 2.3 0 1 1 3.2 2.1c-.7.3-1 .7-1 1.6M8 12.3v.2',
  copy: 'M6 6h7.5v7.5H6zM10 3.5V2.5H2.5V10h1',
  search: 'M7 2.5a4.5 4.5 0 1 0 .01 0M10.3 10.3L14 14',
  download: 'M8 2v8M4.5 7L8 10.5 11.5 7M2.5 13.5h11',
  retry: 'M13 8a5 5 0 1 1-1.6-3.7M13.2 2v3h-3',
  compare: 'M2.5 3h4v10h-4zM9.5 3h4v10h-4z',
  next: 'M6 3l5 5-5 5',
  back: 'M10 3L5 8l5 5',
} as const;

export type IconName = keyof typeof shapes;

/** Beside a word that says the same: it is not read out. */
export function Icon({ name }: { readonly name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
      <path d={shapes[name]} />
    </svg>
  );
}
