"""Refocus pictures with their depth: lens, layers, filters, edges, the subject, focus, clips."""
