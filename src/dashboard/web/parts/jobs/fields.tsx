interface FieldProps<T> {
  readonly name: string;
  readonly label: string;
  readonly value: T | undefined;
}

export function Field({ name, label, value, hint }: FieldProps<string> & { readonly hint?: string }) {
  return (
    <label class="field">
      {label}
      <input
        key={value}
        name={name}
        defaultValue={value}
        placeholder={hint}
        autoComplete="off"
        maxLength={512}
      />
    </label>
  );
}

/** One of those that there are. */
export function Choice({ name, label, value, of }: FieldProps<string> & { readonly of?: readonly string[] }) {
  const known = of ?? [];
  const options = value && !known.includes(value) ? [value, ...known] : known;
  return (
    <label class="field">
      {label}
      <select key={`${value} ${options.length}`} name={name} defaultValue={value ?? ''}>
        <option value="">any</option>
        {options.map((option) => (
          <option key={option} value={option} selected={option === value}>
            {option}
          </option>
        ))}
      </select>
    </label>
  );
}

export function Seconds({ name, label, ms }: { name: string; label: string; ms: number | undefined }) {
  return (
    <label class="field">
      {label}
      <input
        key={ms}
        name={name}
        type="number"
        min="0"
        step="any"
        defaultValue={ms === undefined ? '' : String(ms / 1000)}
      />
    </label>
  );
}

export function Moment({ name, label, at }: { name: string; label: string; at: number | undefined }) {
  return (
    <label class="field">
      {label}
      <input name={name} type="datetime-local" defaultValue={at === undefined ? '' : localText(at)} />
    </label>
  );
}

/** As the field wants it: in the viewer's zone, without one. */
function localText(at: number): string {
  const offsetMs = new Date(at).getTimezoneOffset() * 60_000;
  return new Date(at - offsetMs).toISOString().slice(0, 16);
}
