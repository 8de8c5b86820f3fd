import { notifications } from '@mantine/notifications';
import { messageOf } from '../api/problem';

const closeButtonProps = { 'aria-label': 'Close the notice' };

/** Says that something was done. */
export function done(message: string): void {
  notifications.show({ message, color: 'teal', closeButtonProps });
}

/** Says that something was not done, and why. */
export function failed(title: string, error: unknown): void {
  notifications.show({
    title,
    message: messageOf(error),
    color: 'red',
    autoClose: 10_000,
    closeButtonProps,
  });
}
