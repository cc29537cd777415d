import { InputError } from '../errors.js';

/** What was asked for cannot be done with these files and options. The message says what was expected and what was found. */
export function settingsError(message: string): InputError {
  return new InputError(message, { fault: 'settings' });
}
